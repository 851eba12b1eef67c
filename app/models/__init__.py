"""Which models there are on this computer, which one is recommended, and whether it fits. No Qt, no torch."""
