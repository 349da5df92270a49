"""Programs of the machine that some tests need: without one they are skipped, unless the environment says that all are there."""

import os

import pytest

REQUIRED = os.environ.get("PYWORKFLOW_TEST_PROGRAMS") == "required"


def needs(program: str | None, name: str, hint: str) -> pytest.MarkDecorator:
    """Return the mark of tests that need a program.

    Args:
        program: Its path; None or empty if it is not there.
        name: Its name.
        hint: How it is installed.
    """
    return pytest.mark.skipif(
        not program and not REQUIRED, reason=f"there is no {name} on this machine: {hint}"
    )
