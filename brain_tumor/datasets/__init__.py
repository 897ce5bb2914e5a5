"""Data sets: one declaration in one file each, and the listing of their slices."""
