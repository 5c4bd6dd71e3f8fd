"""From cheap, noisy runs at small scale: which changes to keep for a scale that is never run."""
