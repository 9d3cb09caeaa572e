"""One HTML file from a run's folder alone."""
