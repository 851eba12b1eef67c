"""`parley ask`: the terminal face. Drives the engine and the decoder over the protocol; knows no Qt and no torch."""
