"""From trials to effects: baseline law, noise, overuse, trend."""
