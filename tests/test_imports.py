"""Who may import whom, and what a bare `import pyworkflow` costs."""

import subprocess
import sys
from pathlib import Path

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


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
