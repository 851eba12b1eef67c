"""`parley inspect`: what a model folder holds, and how it would lie in memory."""
