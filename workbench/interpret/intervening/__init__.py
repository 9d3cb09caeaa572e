"""What happens when something inside is removed, added or written out of the weights."""
