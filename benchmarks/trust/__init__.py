"""What users were misled by, one file for each kind: the figure before, now, and the reference."""
