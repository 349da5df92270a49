"""The replay style under type checkers: what is awaited has the type that the activity or workflow returns."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TYPED = "tests/typing/replay_types.py"


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_what_is_awaited_has_the_type_that_is_returned(checker: str) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")

    done = subprocess.run(
        [sys.executable, "-m", checker, TYPED], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
