"""How results look: one palette, one set of axes, one page; data and words come from above."""
