"""Tests of the window, driven by a fake engine and a fake decoder."""
