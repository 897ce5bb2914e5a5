"""What a run leaves behind: metrics, baselines, records and pictures."""
