"""The first tukio's program, as its README has it: its imports are others, and `asyncio.current_task` has its name of today."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio
import pyworkflow.engine as tukio
from pyworkflow.engine import register

@register('my-task1')
async def task1(event):
    tid = asyncio.current_task().template.uid
    print(f'In task1 ({tid}): {event.data}')
    return {tid: 'data from task1'}

@register('my-task2')
async def task2(event):
    tid = asyncio.current_task().template.uid
    print(f'In task2 ({tid}): {event.data}')
    event.data[tid] = 'data from task2'
    return event

wf1 = {
    "title": "workflow #1",
    "tasks": [
        {"id": "f1", "name": "my-task2"},
        {"id": "f2", "name": "my-task2"},
        {"id": "f3", "name": "my-task1"},
        {"id": "f4", "name": "my-task1"},
        {"id": "f5", "name": "my-task2"},
        {"id": "f6", "name": "my-task1"}
    ],
    "graph": {
        "f1": ["f2"],
        "f2": ["f3", "f4"],
        "f3": ["f5"],
        "f4": ["f6"],
        "f5": [],
        "f6": []
    }
}

wf_tmpl = tukio.WorkflowTemplate.from_dict(wf1)

loop = asyncio.get_event_loop()
engine = tukio.Engine(loop=loop)
loop.run_until_complete(engine.load(wf_tmpl))

wflows = loop.run_until_complete(engine.data_received({'initial': 'data'}))
# Wait for the end of the workflows triggered
loop.run_until_complete(asyncio.wait(wflows))
"""

PRINTED = """\
In task2 (f1): {'initial': 'data'}
In task2 (f2): {'initial': 'data', 'f1': 'data from task2'}
In task1 (f3): {'initial': 'data', 'f1': 'data from task2', 'f2': 'data from task2'}
In task1 (f4): {'initial': 'data', 'f1': 'data from task2', 'f2': 'data from task2'}
In task2 (f5): {'f3': 'data from task1'}
In task1 (f6): {'f4': 'data from task1'}
"""

CURRENT = "{}.{}".format(*sys.version_info)
# Since 3.14 there is no loop but one that was made.
MAKES_NO_LOOP = "import sys; sys.exit(sys.version_info >= (3, 14))"


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("version", sorted({"3.11", "3.12", "3.13", "3.14", CURRENT}))
def test_the_program_prints_its_six_lines_in_their_order(version: str) -> None:
    python = sys.executable if version == CURRENT else shutil.which(f"python{version}")
    if python is None:
        pytest.skip(f"there is no python{version} here")
    if run(python, "-c", "import msgspec, click, pyworkflow.engine").returncode:
        pytest.skip(f"python{version} lacks what pyworkflow needs")
    makes_none = run(python, "-c", MAKES_NO_LOOP).returncode
    program = PROGRAM.replace("get_event_loop", "new_event_loop") if makes_none else PROGRAM

    done = run(python, "-c", program)

    assert (done.returncode, done.stdout) == (0, PRINTED), done.stderr


@pytest.mark.parametrize("place", ["loop", "file"])
def test_the_example_prints_them_too(place: str, tmp_path: Path) -> None:
    url = [f"sqlite:///{tmp_path / 'engine.db'}"] if place == "file" else []

    done = run(sys.executable, "-m", "examples.engine", *url)

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(PRINTED.splitlines())
    assert done.stdout == PRINTED or place == "file"


def test_the_engine_is_not_imported_until_it_is_asked_for() -> None:
    program = "import sys, pyworkflow; sys.exit('pyworkflow.engine' in sys.modules)"

    assert run(sys.executable, "-c", program).returncode == 0


def test_in_memory_the_engine_needs_no_store() -> None:
    program = "import sys, pyworkflow.engine; sys.exit('pyworkflow.backend.sqlite' in sys.modules)"

    assert run(sys.executable, "-c", program).returncode == 0
