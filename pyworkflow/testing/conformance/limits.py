"""Bad input: a typed error that names the culprit, and nothing changed."""

from typing import Any

import pytest
from msgspec.structs import force_setattr

from pyworkflow.backend.base import Backend
from pyworkflow.decision import (
    ContinueProcess,
    Decision,
    FailProcess,
    ScheduleActivity,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import InvalidDecisionError, InvalidRequestError, PayloadError
from pyworkflow.process import Process
from pyworkflow.signal import Signal
from pyworkflow.testing.conformance.base import Contract, types


def nested(levels: int) -> Any:
    """Return a list of that many levels."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


class Limits(Contract):
    """The same value is accepted or refused by every backend."""

    @pytest.mark.parametrize(
        "value",
        [
            float("nan"),
            float("-inf"),
            "a\0b",
            {"\0": 1},
            "\ud800",
            {1: 2},
            2**63,
            {1, 2},
            b"bytes",
            object(),
            nested(101),
            "x" * 10_000_000,
        ],
        ids=lambda value: repr(value)[:12],
    )
    def test_what_is_no_json_is_refused(self, backend: Backend, value: Any) -> None:
        process_id = self.start(backend, id="p")

        with pytest.raises(PayloadError, match="input"):
            self.start(backend, input=value)
        with pytest.raises(PayloadError, match="data"):
            backend.signal_process(process_id, "x", value)

        assert [p.id for p in backend.processes()] == ["p"]
        assert len(backend.history(process_id)) == 1

    @pytest.mark.parametrize("name", ["", "a:b", "a/b", "a|b", "a\nb", "\x7f", "arn", "x" * 257, 7])
    def test_a_name_that_some_engine_cannot_carry_is_refused(
        self, backend: Backend, name: Any
    ) -> None:
        with pytest.raises(InvalidRequestError):
            backend.start_process(Process("order", id=name) if name else Process("", id="x"))
        with pytest.raises(InvalidRequestError):
            backend.register_workflow(name)

        assert backend.processes() == []

    @pytest.mark.parametrize("tags", [["a"] * 6, ["x" * 257], [""], ["a\0"]])
    def test_bad_tags_are_refused(self, backend: Backend, tags: list[str]) -> None:
        with pytest.raises(InvalidRequestError, match="tag"):
            self.start(backend, tags=tags)

    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "1", 10**12])
    def test_bad_timeouts_are_refused(self, backend: Backend, seconds: Any) -> None:
        with pytest.raises(InvalidRequestError):
            backend.register_workflow("w", timeout=seconds)
        with pytest.raises(InvalidRequestError):
            backend.register_activity("a", execution_timeout=seconds)

    @pytest.mark.parametrize(
        "setting",
        [{"retry": 3}, {"retry": "Retry(3)"}, {"at_most_once": "no"}, {"at_most_once": 2}],
        ids=str,
    )
    def test_a_setting_that_could_not_be_read_is_refused(
        self, backend: Backend, setting: dict[str, Any]
    ) -> None:
        [name] = setting
        with pytest.raises(InvalidRequestError, match=name):
            backend.register_activity("charge", **setting)
        with pytest.raises(InvalidRequestError, match="handles_cancel"):
            backend.register_workflow("order", handles_cancel=setting[name])
        with pytest.raises(PayloadError, match="graph"):
            backend.register_workflow("order", graph={1: 2})

        self.scheduled(backend)
        assert self.activity(backend).activity_execution.activity == "charge"

    @pytest.mark.parametrize(
        "bad",
        [
            (ScheduleActivity("charge"), "retry", 3),
            (ScheduleActivity("charge"), "retry", {"max_attempts": "x"}),
            (ScheduleActivity("charge"), "heartbeat_timeout", "1"),
            (StartChildProcess(Process("order")), "child_policy", 1),
            (SignalProcess("p", Signal("x")), "signal", "x"),
            (FailProcess(), "reason", 5),
            (ContinueProcess(), "tags", (5,)),
            (Timer(1), "delay", True),
        ],
        ids=lambda bad: f"{bad[0].type}-{bad[1]}",
    )
    def test_a_decision_that_could_not_be_read_is_refused(
        self, backend: Backend, bad: tuple[Decision, str, Any]
    ) -> None:
        decision, field, value = bad
        # Past the checks of the constructors, as a program may that makes decisions in ways of its own.
        force_setattr(decision, field, value)
        process_id = self.start(backend, id="p")
        task = self.decision(backend)

        with pytest.raises(InvalidDecisionError, match=field):
            backend.complete_decision_task(task, decision)

        backend.complete_decision_task(task, ScheduleActivity("charge"))
        assert types(backend, process_id)[-1] == "decision"

    def test_values_at_the_limits_are_taken(self, backend: Backend) -> None:
        value = [nested(99), -(2**63), 2**63 - 1, "x" * 1_000_000]
        process_id = self.start(backend, id="x" * 256, input=value, tags=["t" * 256] * 5)

        assert backend.process_by_id(process_id).input == value
