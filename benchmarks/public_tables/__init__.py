"""Public tables of runs, replayed."""
