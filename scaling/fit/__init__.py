"""Fits: a law to runs, with its status, its doubt and its resamples."""
