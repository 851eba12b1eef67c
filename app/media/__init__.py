"""The decoder: foreign bytes in, plain pixels out, in a process of its own under limits of time and memory."""
