"""Compute scores with intervals, baselines and calibration, and draw them."""
