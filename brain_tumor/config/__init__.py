"""The configuration: its keys and types, names of runs, processes and devices, one-line errors."""
