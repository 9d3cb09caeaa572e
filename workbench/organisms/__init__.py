"""Model organisms: small models trained here, whose behaviour is known because it was planted."""
