"""Evaluate a finished run: score it again or on other data, explain it, put it behind a detector."""
