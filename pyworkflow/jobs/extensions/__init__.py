"""What looks on while a job runs: the base of extensions, and the progress in the terminal."""

from pyworkflow.jobs.extensions.extension import EXTENSIONS, Extension, extension
from pyworkflow.jobs.extensions.progressbar import RichProgressBar

__all__ = ["EXTENSIONS", "Extension", "RichProgressBar", "extension"]
