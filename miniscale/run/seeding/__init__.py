"""What seeds the Pythons of a trial: a folder on their path with a ``sitecustomize``."""
