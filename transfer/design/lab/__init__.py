"""Where a design gets its runs from."""
