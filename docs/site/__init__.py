"""The site: the pages of docs/, and those that programs make of the packages and their results."""
