"""Getting a model from a hub of our own on this machine."""
