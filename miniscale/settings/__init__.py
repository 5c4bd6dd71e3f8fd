"""The settings that ship, one folder each."""
