"""Getting a model from the Hugging Face Hub into a folder, and saying whether a folder holds what it should.

Python's standard library alone: it knows no torch, no Qt, no window and no terminal (but for `command`).
"""
