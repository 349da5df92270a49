"""Who may import whom, and what a bare `import pyworkflow` costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import pyworkflow
from pyworkflow.backend import connect

ROOT = Path(__file__).resolve().parent.parent

# Slow to import or not needed by every program: each waits until something asks for it.
LATE = {"apsw", "boto3", "botocore", "click", "rich", "rich_click"}


def test_the_import_contracts_of_setup_cfg_are_kept() -> None:
    # On its own, because the linter sets up logging for the whole of its interpreter.
    result = python(
        "from importlinter.cli import lint_command; lint_command()", "--no-cache", "--no-logo"
    )
    broken = result.returncode != 0

    assert not broken, result.stdout + result.stderr


def test_importing_the_package_leaves_heavy_libraries_alone() -> None:
    result = python("import sys, pyworkflow; print(*sys.modules)")

    assert "pyworkflow" in result.stdout.split(), result.stderr
    assert LATE.isdisjoint(result.stdout.split())


def test_every_name_of_the_package_is_loaded_when_it_is_asked_for() -> None:
    names = [name for name in dir(pyworkflow) if name[0].isupper() and name != "TYPE_CHECKING"]

    assert {"Manager", "Process", "Worker", "Workflow", "ScheduleActivity"} <= set(names)
    for name in names:
        if name != "Any":
            assert getattr(pyworkflow, name).__name__ == name
    assert pyworkflow.connect is connect
    with pytest.raises(AttributeError, match="pigeon"):
        pyworkflow.pigeon  # noqa: B018 - asking is the test


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
