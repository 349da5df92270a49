"""pyworkflow: write a workflow once, as decisions on a recorded history, and run it on any backend."""

__version__ = "0.1.0"
