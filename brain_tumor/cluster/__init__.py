"""Use several machines with Spark: sweeps, one large training, scores of an archive. Nothing imports this room."""
