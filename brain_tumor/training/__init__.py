"""Train one run: its parts, what it refuses, what it begins with, and what it records."""
