"""What wandb is told."""
