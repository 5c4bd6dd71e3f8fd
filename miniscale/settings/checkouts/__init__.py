"""What checkouts of other people's repositories need beside their own files: small data."""
