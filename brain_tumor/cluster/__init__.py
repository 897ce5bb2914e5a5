"""Beyond one machine: sweeps, one big training, and the scoring of an archive on Spark. Nothing imports this room."""
