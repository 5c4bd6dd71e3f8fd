"""Proposers: who suggests changes."""
