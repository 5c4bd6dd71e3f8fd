"""A trainer that trains nothing: losses from a planted law."""
