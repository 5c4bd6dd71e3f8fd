"""Worlds with a planted truth."""
