"""Capture: texts to batches, batches through the model, values to memory or to shards on disk."""
