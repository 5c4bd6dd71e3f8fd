"""Policies: the next step for a change, and what is concluded of it."""
