"""One training: its parts, what it refuses, what it begins with and what it leaves."""
