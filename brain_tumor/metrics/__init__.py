"""Scores with intervals, baselines, calibration, and their pictures."""
