"""Runnable programs; the tests run them too."""
