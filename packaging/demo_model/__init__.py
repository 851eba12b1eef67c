"""How the demo model is made: its texts, its pictures, its training and its quantization."""
