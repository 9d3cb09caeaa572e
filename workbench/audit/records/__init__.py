"""What a run's folder holds: its names, records, findings, and how to read them in any state."""
