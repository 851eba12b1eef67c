"""The decoder: foreign bytes in, plain pixels out, in a process of its own under limits of time and memory.

`python -m app.media` reads `Decode` lines and answers each with `Decoded` or `Refused` (see `app.protocol`). Nothing in
this package imports torch or PySide6.
"""

JOB_ARGUMENT = "--job"
"""With this argument the program is the process of one job; it is its own parent without."""
