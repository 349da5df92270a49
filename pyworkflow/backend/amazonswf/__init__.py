"""The Amazon SWF backend: the same deciders and activities on Amazon's own service."""

from pyworkflow.backend.amazonswf.backend import AmazonSWFBackend
from pyworkflow.backend.amazonswf.client import Fault
from pyworkflow.backend.amazonswf.url import open_url

__all__ = ["AmazonSWFBackend", "Fault", "open_url"]
