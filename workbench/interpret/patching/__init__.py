"""Which place, given another run's value, changes the answer."""
