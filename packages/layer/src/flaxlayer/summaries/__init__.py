"""What a layer shows of itself: its variables as a tree, in a terminal and in a notebook."""
