"""From an expensive setting to a ladder of small ones that keeps its signal, with the evidence."""
