"""The loop: proposers, console, tracking and the command line."""
