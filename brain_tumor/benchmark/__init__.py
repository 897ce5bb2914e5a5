"""Measure training speed: the plain loop, the framework, and the hardware's limit."""
