"""That a run is what it was, and by whom: manifest, signature, and papers in open formats."""
