"""What happened: events on disk, and the state that they add up to."""
