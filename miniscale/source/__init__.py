"""Source files of a trial: their text, and the constants in them."""
