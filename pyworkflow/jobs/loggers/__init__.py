"""Where what tasks say goes: the base of loggers, and the logger that writes files."""

from pyworkflow.jobs.loggers.file import FileLogger
from pyworkflow.jobs.loggers.logger import LOGGERS, Logger, logger

__all__ = ["LOGGERS", "FileLogger", "Logger", "logger"]
