"""Trackers: they show a run while and after it trains."""
