"""Boosted trees on a year of flights out of New York: data, trainer, evaluator."""
