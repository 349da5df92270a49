"""The docs are true: blocks run, tables equal what is declared."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.cli import COMMANDS
from pyworkflow.testing.conformance.table import capability_table

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [(page.name, block) for page in PAGES for block in BLOCK.findall(page.read_text())]


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=lambda value: str(value)[:20])
def test_a_block_runs(page: str, block: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(block)

    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr


def test_the_first_program_prints_its_result() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS[0][1]], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "ProcessCompleted(result='charged 12')\n"


def test_the_capability_table_is_what_backends_declare(tmp_path: Path) -> None:
    with SQLiteBackend(tmp_path / "x.db") as sqlite:
        table = capability_table(
            {"memory": MemoryBackend().capabilities, "sqlite": sqlite.capabilities}
        )

    assert table in (ROOT / "docs/backends/index.md").read_text()


def test_every_command_is_in_the_reference() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text()

    for command in COMMANDS:
        assert f"`{command}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
