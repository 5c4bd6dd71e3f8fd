"""What can be known of a setting before money is spent on it."""
