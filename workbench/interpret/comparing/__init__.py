"""Two checkpoints, layer by layer."""
