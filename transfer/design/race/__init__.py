"""Known changes raced on every candidate size against the reference."""
