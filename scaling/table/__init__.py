"""Tables of runs: read from any file, columns guessed, checked."""
