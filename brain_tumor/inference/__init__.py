"""Predict scans with finished runs, with exported files, or with several of them together."""
