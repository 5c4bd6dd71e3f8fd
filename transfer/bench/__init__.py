"""The bench: policies and forecasts scored on worlds, on public tables and on campaigns."""
