"""One order in four styles: the same activities with the same inputs and results, whatever becomes of it, on every local backend."""

from collections.abc import Iterator

import pytest

from examples.order import STYLES, Order
from examples.order.__main__ import main
from pyworkflow.codec import Json, to_plain
from pyworkflow.event import ActivityEvent
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner
from pyworkflow.workflow import Workflow
from tests.local_backends import LOCAL, local_backend

Done = list[tuple[str, Json, str, Json]]
"""What was done: name and input of each activity, the kind of its result, and what it returned or why it failed."""


@pytest.fixture(params=LOCAL)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    clock = FakeClock()
    with local_backend(request.param, request, clock) as backend:
        yield Runner(*STYLES, backend=backend, clock=clock)
        assert backend.check() == []


def done(process: Process) -> Done:
    told: Done = []
    for event in process.history:
        if isinstance(event, ActivityEvent):
            result, output = event.result, None
            if isinstance(result, ActivityCompleted):
                output = result.result
            elif isinstance(result, ActivityFailed):
                output = result.reason
            execution = event.activity_execution
            told.append((execution.activity, execution.input, result.type, output))
    return told


def work_until(runner: Runner, process_id: str, name: str | None) -> None:
    """Decide and execute until an activity waits to be executed, or until the end."""
    decide, execute = runner.workers
    while True:
        while decide():
            pass
        waiting = [w.name for w in runner.manager.pending(process_id) if w.kind == "activity"]
        if waiting == [name] or not execute():
            return


def run(
    runner: Runner, workflow: type[Workflow], fails_at: str | None, cancel_at: str | None
) -> Process:
    order = to_plain(Order("tea", 2, fails_at))
    process_id = runner.manager.start_process(Process(workflow, input=order))
    work_until(runner, process_id, cancel_at)
    if cancel_at is not None:
        runner.manager.cancel_process(process_id, "changed my mind")
    return runner.finish(process_id)


RESERVED = "2 tea on shelf 7"
UNDONE: Done = [
    ("refund", 500, "completed", "refunded 500"),
    ("release", RESERVED, "completed", f"released {RESERVED}"),
]


def steps(fails_at: str | None = None) -> Done:
    """What the three steps do, up to the one that fails."""
    given = to_plain(Order("tea", 2, fails_at))
    outputs = {"reserve": RESERVED, "charge": 500, "ship": "parcel of 2 tea"}
    told: Done = []
    for name, output in outputs.items():
        if name == fails_at:
            return [*told, (name, given, "failed", f"cannot {name} 2 tea")]
        told.append((name, given, "completed", output))
    return told


@pytest.mark.parametrize(
    ("fails_at", "undone"),
    [(None, []), ("reserve", []), ("charge", UNDONE[1:]), ("ship", UNDONE)],
)
def test_four_styles_sell_or_undo_alike(runner: Runner, fails_at: str | None, undone: Done) -> None:
    expected = [*steps(fails_at), *undone]
    for style in STYLES:
        process = run(runner, style, fails_at, None)

        assert done(process) == expected, style.name
        assert process.status == ("failed" if fails_at else "completed")


@pytest.mark.parametrize(
    ("cancel_at", "undone"), [("reserve", []), ("charge", UNDONE[1:]), ("ship", UNDONE)]
)
def test_four_styles_undo_alike_when_they_are_canceled_in_the_middle(
    runner: Runner, cancel_at: str, undone: Done
) -> None:
    before = steps()[: ["reserve", "charge", "ship"].index(cancel_at)]
    under_way = (cancel_at, to_plain(Order("tea", 2)), "canceled", None)
    for style in STYLES:
        process = run(runner, style, None, cancel_at)

        told = done(process)
        if cancel_at == "reserve":
            # Whether it is canceled or ends with its process makes no difference to anybody.
            assert told in ([], [under_way]), style.name
        else:
            assert told == [*before, under_way, *undone], style.name
        assert process.status == "canceled"


@pytest.mark.parametrize("cancel_at", ["refund", "release"])
def test_four_styles_go_on_undoing_when_they_are_canceled_meanwhile(
    runner: Runner, cancel_at: str
) -> None:
    for style in STYLES:
        process = run(runner, style, "ship", cancel_at)

        assert done(process) == [*steps("ship"), *UNDONE], style.name
        assert process.status == "failed"


def test_the_example_tells_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    main()

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(", ")[2] for line in lines] == 4 * [
        "tea: completed, reserve, charge, ship",
        "gold: failed, reserve, charge, release",
        "glass: failed, reserve, charge, ship, refund, release",
    ]
