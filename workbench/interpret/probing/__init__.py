"""What can be read off the activations by a linear probe, beside its controls."""
