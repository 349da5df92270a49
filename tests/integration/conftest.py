"""What the tests of the command line share."""

from pathlib import Path

import pytest

from pyworkflow.manager import Manager
from tests.integration.program import manager
from tests.integration.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "cli.db")


@pytest.fixture
def of(shell: Shell) -> Manager:
    return manager(str(shell.path))
