"""Where heads look, and what kind of head each is."""
