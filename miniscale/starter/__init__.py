"""A first setting and ladder for a repository that nobody described yet, by reading its source."""
