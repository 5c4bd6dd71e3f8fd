"""What a study found, for people: tables, text, plots, one HTML page."""
