"""What happens in a job, as its loggers and extensions are told."""
