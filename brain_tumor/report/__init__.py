"""Put runs beside the paper: reads run folders only, never loads a model."""
