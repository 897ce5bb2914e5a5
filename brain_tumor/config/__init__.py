"""What Hydra and the environment say: the configuration, its types, names of runs, one-line errors, processes."""
