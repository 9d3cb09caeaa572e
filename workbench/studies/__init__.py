"""Questions that take both sides: what a model does, and what inside it does that."""
