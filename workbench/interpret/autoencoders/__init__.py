"""Sparse autoencoders from local files: what they reconstruct, and what they miss."""
