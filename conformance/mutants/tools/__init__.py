"""What runs mutants: imports, processes, searches and their record."""
