"""The texts on which a place inside says most."""
