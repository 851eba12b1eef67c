"""From a checkpoint to text: the program that runs the model. Knows nothing of Qt, settings or history."""
