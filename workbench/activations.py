"""Activations of many texts."""
