"""How the numbers that a trial left are read."""
