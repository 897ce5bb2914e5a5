"""What a finished run is asked beside its scores: where it looks, and how it works behind a detector."""
