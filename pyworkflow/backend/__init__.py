"""Backends: where processes live. `connect` opens one by its URL."""

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.backend.registry import connect

__all__ = ["Backend", "Capability", "connect"]
