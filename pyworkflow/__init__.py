"""Decider and worker workflows over swappable backends."""

__version__ = "0.1.0"
