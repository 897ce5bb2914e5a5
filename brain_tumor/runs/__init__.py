"""A run on disk: identity, folder, record, model card, leakage; no model."""
