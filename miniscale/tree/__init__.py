"""From a checkout and a change to the files of a trial."""
