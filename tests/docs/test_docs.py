"""The docs are true: blocks run, tables equal what is declared.

A Python or YAML block that begins with a comment such as ``# shop.py`` is a file of that name for the later blocks of its page. A ``sh`` block is run
like a Python block. A ``text`` block says what the block right before it prints; ``…`` in it stands for anything.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from blinker import Signal
from botocore import xform_name
from botocore.session import Session

from pyworkflow.backend.amazonswf import AmazonSWFBackend
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.backend.translate import WITH_PROCESS
from pyworkflow.cli import COMMANDS
from pyworkflow.testing.conformance.table import capability_table
from tests.postgresql import Server

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = re.compile(
    r"^```(python|sh)\n(.*?)^```\n(?:\n?```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL
)
RUNS = [(page, found) for page in PAGES for found in RUN.finditer(page.read_text())]
FILE = re.compile(
    r"^```(?:python|yaml)\n(# ([\w/]+\.(?:py|yaml))\n.*?)^```", re.MULTILINE | re.DOTALL
)
BLINKER = ROOT / "docs/guides/blinker.md"
COMMANDS_FIRST = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def named(found: object) -> str:
    return found[2][:20] if isinstance(found, re.Match) else str(getattr(found, "name", found))


@pytest.mark.parametrize(("page", "found"), RUNS, ids=named)
def test_a_block_runs(page: Path, found: re.Match[str], tmp_path: Path) -> None:
    for other in FILE.finditer(page.read_text(), 0, found.start()):
        (tmp_path / other[2]).parent.mkdir(exist_ok=True)
        (tmp_path / other[2]).write_text(other[1])
    name = FILE.match(found[0])
    program = tmp_path / (name[2] if name else "program.py")
    program.parent.mkdir(exist_ok=True)
    program.write_text(found[2])

    done = subprocess.run(
        [*([sys.executable] if found[1] == "python" else ["sh", "-eu"]), str(program)],
        cwd=tmp_path,
        env={**os.environ, "PATH": COMMANDS_FIRST},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    if found[3] is not None:
        wanted = ".*".join(re.escape(part) for part in found[3].split("…"))
        assert re.fullmatch(wanted, done.stdout), done.stdout


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=named)
def test_a_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_names_every_page_and_every_folder() -> None:
    text = (ROOT / "README.md").read_text()
    folders = [path.parent for path in (ROOT / "pyworkflow").glob("*/__init__.py")]
    pages = [page.relative_to(ROOT) for page in PAGES[1:]]

    assert [page for page in pages if f"]({page})" not in text] == []
    assert [f for f in folders if f"`{f.relative_to(ROOT)}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_command_that_is_named_is_there(page: Path) -> None:
    named_in_prose = re.findall(r"`pyworkflow\s+(?:--backend\s+\S+\s+)?([a-z]+)", prose(page))

    assert set(named_in_prose) <= set(COMMANDS)


def test_the_capability_table_is_what_backends_declare(
    tmp_path: Path, postgresql_server: Server, schema: str
) -> None:
    with (
        SQLiteBackend(tmp_path / "x.db") as sqlite,
        PostgreSQLBackend(postgresql_server.url(), schema=schema) as postgresql,
    ):
        table = capability_table(
            {
                "memory": MemoryBackend().capabilities,
                "sqlite": sqlite.capabilities,
                "postgresql": postgresql.capabilities,
                "amazonswf": AmazonSWFBackend.capabilities,
            }
        )

    assert table in (ROOT / "docs/backends/index.md").read_text()


def test_the_table_of_blinker_signals_names_each_with_its_process() -> None:
    rows = re.findall(r"^\| `(on_\w+)` \|.*\|(.*)\|$", BLINKER.read_text(), re.MULTILINE)

    declared = [name for name, value in vars(BlinkerBackend).items() if isinstance(value, Signal)]
    assert sorted(name for name, _ in rows) == sorted(declared)
    assert {name for name, told in rows if "`process`" in told} == WITH_PROCESS


def test_each_deviation_of_amazon_swf_names_a_test_that_there_is() -> None:
    page = (ROOT / "docs/backends/amazonswf.md").read_text()
    table = page.partition("## Where it deviates")[2].partition("\n## ")[0]
    lines = [row for row in table.splitlines() if row.startswith("| ")]
    rows = [row for row in lines if not row.endswith("| shown by |")]
    source = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))

    assert rows
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        for test in named:
            assert f"def {test}(" in source, test


def test_the_policy_for_amazon_swf_allows_the_calls_that_are_made() -> None:
    page = (ROOT / "docs/backends/amazonswf.md").read_text()
    policy = json.loads(page.partition("```json\n")[2].partition("```")[0])
    code = "".join(
        path.read_text() for path in (ROOT / "pyworkflow/backend/amazonswf").glob("*.py")
    )
    made = set(re.findall(r'\(\s*"([a-z]+(?:_[a-z]+)+)"', code))
    operations = {
        xform_name(name): name for name in Session().get_service_model("swf").operation_names
    }
    called = {operations[name] for name in made if name in operations}
    # These names are put together from their parts.
    called |= {"ListOpenWorkflowExecutions", "ListClosedWorkflowExecutions"}
    called |= {
        f"{verb}{kind}Type"
        for verb in ("Describe", "Register")
        for kind in ("Workflow", "Activity")
    }
    allowed = {
        action.removeprefix("swf:")
        for statement in policy["Statement"]
        for action in statement["Action"]
        if action.startswith("swf:")
    }

    assert allowed == called - {"RegisterDomain"}


def test_every_command_is_in_the_reference() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text()

    for command in COMMANDS:
        assert f"`{command}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
