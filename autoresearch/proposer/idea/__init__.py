"""An idea as somebody wrote it: read, applied to the files, made a change."""
