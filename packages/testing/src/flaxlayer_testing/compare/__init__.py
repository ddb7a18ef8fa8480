"""How two trees are compared, and how near they must be (T4)."""
