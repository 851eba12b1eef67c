"""Tests of what a conversation is."""
