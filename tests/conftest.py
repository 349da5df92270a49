"""What all tests share."""

import pytest

# The contract is shipped, so pytest does not take its modules for tests by itself.
pytest.register_assert_rewrite("pyworkflow.testing.conformance")
