"""Proposals by language models."""
