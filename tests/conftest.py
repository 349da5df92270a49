"""What all tests share."""

import pytest
from hypothesis import HealthCheck, settings

# The contract is shipped, so pytest does not take its modules for tests by itself.
pytest.register_assert_rewrite("pyworkflow.testing.conformance")

# How long an example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
