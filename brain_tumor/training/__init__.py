"""One training: begun, gone on with, recorded."""
