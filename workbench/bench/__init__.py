"""Performance beside a named peer, in the same run, with results proven equal."""
