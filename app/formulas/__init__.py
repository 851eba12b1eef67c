"""LaTeX formulas as outlines, drawn by a process of its own: it may take long, and a text may be made to break it."""
