"""Three tiny HTTP services and a workflow of them: ``python -m examples.services``."""
