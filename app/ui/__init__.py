"""What is seen: one widget or one job a file. Widgets take values and emit intents."""
