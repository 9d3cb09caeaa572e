"""Two runs and many: differences, gates, history."""
