"""The command line and its reference say the same."""

import json
import re
from typing import get_args

from pyworkflow.backend.base import Pending, Poller
from pyworkflow.decision import ScheduleActivity, Timer
from pyworkflow.event import AnyEvent
from pyworkflow.ledger.invariants import Violation
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from tests.integration.program import OneWorkflow
from tests.integration.shell import REFERENCE, Shell, decide


def table_of(title: str) -> dict[str, list[str]]:
    """Return first column and names in the second of the reference's table with a heading row."""
    _, _, rest = REFERENCE.read_text().partition(f"\n{title}\n")
    lines = rest.split("\n\n")[0].splitlines()[1:]
    cells = [line.split("|")[1:-1] for line in lines]
    return {name.strip(" `"): re.findall(r"`(\w+)`", told) for name, told in cells}


def section(title: str) -> str:
    return REFERENCE.read_text().partition(f"\n### {title}\n")[2].partition("\n##")[0]


def first_column(text: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


def test_the_events_of_the_reference_are_those_that_there_are() -> None:
    declared = {
        kind.__struct_config__.tag: [n for n in kind.__struct_fields__ if n != "datetime"]
        for kind in get_args(AnyEvent)
    }

    assert table_of("| type | fields |") == declared


def test_json_has_the_fields_of_the_reference(shell: Shell, of: Manager) -> None:
    of.start_process(Process(OneWorkflow, id="one", input=["slow", "x"]))
    decide(of, ScheduleActivity("slow", id="a"), Timer(60, id="t"))

    why = shell.json("why", "one")
    assert list(why) == ["id", "run", "workflow", "status", "pending"]
    pending = first_column(section("`why`"))
    assert pending == list(Pending.__struct_fields__)
    assert [list(item) for item in why["pending"]] == [pending, pending]
    common, _, _ = section("`history`").partition("The type says")
    kinds = table_of("| type | fields |")
    lines = shell.run("history", "one", "--json").stdout.splitlines()
    assert len(lines) == 4
    for event in map(json.loads, lines):
        assert set(event) == {*first_column(common), *kinds[event["type"]]}
    shown = first_column(section("`show` and `list`"))
    assert list(shell.json("show", "one")) == shown
    assert [list(process) for process in shell.json("list")] == [shown[:-1]]
    for line in shell.run("watch", "--from-start", "--limit", "4", "--json").stdout.splitlines():
        entry = json.loads(line)
        assert list(entry) == first_column(section("`watch`"))
        assert set(entry["event"]) == {"type", "datetime", *kinds[entry["event"]["type"]]}
    depths = first_column(section("`queues`"))
    assert [list(queue) for queue in shell.json("queues")] == [depths, depths]
    assert first_column(section("`workers`")) == list(Poller.__struct_fields__)
    assert first_column(section("`check`")) == list(Violation.__struct_fields__)
