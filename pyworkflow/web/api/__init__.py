"""The JSON API, below ``/api``; with ``/metrics`` and ``/health``."""
