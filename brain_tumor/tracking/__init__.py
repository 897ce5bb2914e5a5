"""What is shown of a run while and after it trains."""
