"""`parley bench`: what this machine makes of a model, each figure beside the least that its memory allows."""
