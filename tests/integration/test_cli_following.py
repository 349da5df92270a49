"""``history --follow`` on the command line."""

import json
import signal
from typing import Any

from pyworkflow.backend.base import FEED_START, FeedEntry
from pyworkflow.backend.cursors import place_of
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.cli.events import followed
from pyworkflow.decision import ContinueProcess
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from tests.integration.program import StepsWorkflow
from tests.integration.shell import Shell, decide, decide_about


def test_a_history_is_followed_to_the_end(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))
    of.start_process(Process(StepsWorkflow, id="other"))

    with shell.running("history", "one", "--follow", "--json") as follower:
        assert follower.stdout is not None
        seen = [json.loads(follower.stdout.readline())]
        of.signal_process("other", "hello")
        of.signal_process("one", "hello")
        seen.append(json.loads(follower.stdout.readline()))
        of.terminate_process("one")
        seen.extend(json.loads(line) for line in follower.stdout)

        assert follower.wait(60) == 0
    assert [(e["seq"], e["type"]) for e in seen] == [
        (1, "process_started"),
        (2, "signal"),
        (3, "process_terminated"),
    ]
    past = shell.run("history", "one", "--json", "--follow", "--since", "2").stdout.splitlines()
    assert [json.loads(line) for line in past] == seen[2:]
    assert shell.run("history", "one", "--json").stdout.splitlines()[2:] == past
    assert "process_terminated" in shell.run("history", "one", "--follow").stdout.splitlines()[-1]


def test_following_ends_at_ctrl_c(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))

    with shell.running("history", "one", "--follow") as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert "process_started" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)

        assert follower.wait(60) == 130
        assert follower.stderr.read().strip() == ""


class Scripted(MemoryBackend):
    """Lets the next thing happen whenever somebody waits at the feed."""

    def __init__(self) -> None:
        super().__init__()
        self.script: list[Any] = []
        self.waits: list[float] = []
        self.cursors: list[str] = []
        self.reads = 0
        self.after_reading: Any = None

    def feed(self, cursor: str = FEED_START, limit: int = 1000, wait: float = 0) -> list[FeedEntry]:
        self.waits.append(wait)
        self.cursors.append(cursor)
        self.script.pop(0)()
        return super().feed(cursor, limit, 0)

    def process_by_id(self, process_id: str) -> Process:
        self.reads += 1
        process = super().process_by_id(process_id)
        if (happens := self.after_reading) is not None:
            self.after_reading = None
            happens()
        return process


def test_a_follower_sleeps_at_the_feed_and_reads_only_what_is_new_of_its_process() -> None:
    backend = Scripted()
    of = Manager(backend, [StepsWorkflow])
    of.start_process(Process(StepsWorkflow, id="other"))
    decide(of)
    of.start_process(Process(StepsWorkflow, id="one"))
    backend.script = [
        lambda: of.signal_process("other", "x"),
        lambda: None,
        lambda: decide_about(of, "one", ContinueProcess()),
        lambda: of.terminate_process("one"),
    ]

    seen = [(run, seq, event.type) for run, seq, event in followed(backend, "one")]

    assert seen == [
        (1, 1, "process_started"),
        (1, 2, "decision_started"),
        (1, 3, "decision"),
        (2, 1, "process_started"),
        (2, 2, "process_terminated"),
    ]
    assert len(backend.waits) == 4
    assert all(wait > 1 for wait in backend.waits)
    assert backend.cursors == sorted(backend.cursors, key=place_of)
    assert len(set(backend.cursors)) == 3  # The second wait brought nothing.
    assert backend.reads == 4
    backend.script = []
    first = [(run, seq) for run, seq, _ in followed(backend, "one:1")]
    assert first == [(1, 1), (1, 2), (1, 3)]


def test_nothing_is_lost_between_the_past_and_the_feed() -> None:
    backend = Scripted()
    of = Manager(backend, [StepsWorkflow])
    of.start_process(Process(StepsWorkflow, id="one"))
    backend.after_reading = lambda: of.terminate_process("one")
    backend.script = [lambda: None]

    assert [seq for _, seq, _ in followed(backend, "one")] == [1, 2]
