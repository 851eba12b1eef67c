"""What a conversation is. Knows neither Qt nor torch."""
