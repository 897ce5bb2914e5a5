"""What a run is on disk: identity, folder, record, card, leakage; no model."""
