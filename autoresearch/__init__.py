"""``python -m autoresearch``: who proposes changes, and what a person sees of a study."""
