"""Measure training speed, beside a plain loop and the hardware's limit."""
