"""Tracking: what wandb gets of a study."""
