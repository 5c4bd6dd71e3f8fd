"""The policy ``atoms``: the next run by value of information, gains over scale by a prior."""
