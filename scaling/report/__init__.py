"""What a command found, as sheets, figures, one HTML file, and in wandb."""
