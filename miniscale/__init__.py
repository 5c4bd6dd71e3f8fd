"""Mini-settings: small trainings that are cheap to verify, and the machinery that runs them."""
