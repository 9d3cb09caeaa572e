"""Which experts a mixture of experts chooses."""
