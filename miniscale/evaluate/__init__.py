"""Scores made by a trusted process; a model's own code answers from another (docs/trust.md)."""
