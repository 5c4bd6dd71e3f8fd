"""What is trained: settings, rungs, trial specs, and how configuration becomes them."""
