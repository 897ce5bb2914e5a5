"""Report runs beside the paper's results; only run folders are read, and no model is loaded."""
