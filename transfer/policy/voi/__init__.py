"""Atoms: a shrinkage prior on how effects change with scale, and what follows from it."""
