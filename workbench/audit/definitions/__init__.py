"""What an audit does, as data: read from TOML, checked, frozen, and written out."""
