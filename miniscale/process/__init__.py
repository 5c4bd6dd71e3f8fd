"""Any program, run and watched: its processes, what they use and print; nothing outlives it."""
