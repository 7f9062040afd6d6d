"""Decisions: pure functions from evidence to findings. No I/O, no printing, no clock."""
