"""The sizes that a design may look at, and what they cost."""
