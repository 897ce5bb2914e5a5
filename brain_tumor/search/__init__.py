"""A search of settings by Optuna, which goes on where it was cut off."""
