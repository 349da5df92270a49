"""Starting, finding, canceling and ending processes."""

import threading
from typing import Any

import pytest

from pyworkflow.backend.base import Backend, Capability, Reuse
from pyworkflow.decision import CancelProcess, CompleteProcess, ContinueProcess, FailProcess
from pyworkflow.errors import (
    ProcessAlreadyExistsError,
    ProcessClosedError,
    UnknownProcessError,
    UnknownWorkflowError,
)
from pyworkflow.event import CancelRequestedEvent, DecisionEvent, ProcessStartedEvent
from pyworkflow.process import Process, Status
from pyworkflow.result import (
    ProcessCanceled,
    ProcessCompleted,
    ProcessFailed,
    ProcessResult,
    ProcessTerminated,
)
from pyworkflow.testing.conformance.base import Contract, types


class Processes(Contract):
    """The life of a process, seen from outside."""

    def test_a_started_process_is_open_and_waits_for_a_decision(self, backend: Backend) -> None:
        process_id = self.start(backend, input=[3, 4], tags=["x", "y"])

        process = backend.process_by_id(process_id)

        assert (process.workflow, process.input, process.tags) == ("order", [3, 4], ("x", "y"))
        assert process.is_open
        assert process.history == [ProcessStartedEvent()]
        assert self.decision(backend).process.id == process_id

    @pytest.mark.parametrize("value", [0, "", [], False, None, {}, 0.0, "\u2028é😀", {"a": [None]}])
    def test_a_value_survives_as_input_and_result(self, backend: Backend, value: Any) -> None:
        process_id = self.start(backend, input=value)
        task = self.decision(backend)
        backend.complete_decision_task(task, CompleteProcess(value))

        process = backend.process_by_id(process_id)

        assert task.process.input == process.input == value
        assert type(process.input) is type(value)
        assert process.result == ProcessCompleted(value)

    def test_an_unknown_workflow_cannot_be_started(self, backend: Backend) -> None:
        with pytest.raises(UnknownWorkflowError, match="nope"):
            self.start(backend, "nope")

    def test_the_same_start_again_is_the_same_process(self, backend: Backend) -> None:
        self.requires(backend, Capability.REUSE)
        first = self.start(backend, id="one", input=1)

        assert self.start(backend, id="one", input=1) == first
        assert types(backend, "one") == ["process_started"]

    def test_another_start_under_a_taken_id_is_refused(self, backend: Backend) -> None:
        self.start(backend, id="one", input=1)

        with pytest.raises(ProcessAlreadyExistsError, match="one"):
            self.start(backend, id="one", input=2)

    def test_a_closed_id_is_reused_only_when_allowed(self, backend: Backend) -> None:
        self.requires(backend, Capability.REUSE)
        self.start(backend, id="one", input=1)
        self.decide(backend, CompleteProcess())
        again = Process("order", id="one", input=2)

        for reuse in (Reuse.REJECT, Reuse.ALLOW_FAILED):
            with pytest.raises(ProcessAlreadyExistsError):
                backend.start_process(again, reuse=reuse)
        backend.start_process(again, reuse=Reuse.ALLOW)

        assert backend.process_by_id("one").run == 2
        assert backend.process_by_id("one:1").input == 1

    def test_eight_threads_start_one_process(self, backend: Backend) -> None:
        self.requires(backend, Capability.REUSE)
        barrier = threading.Barrier(8)

        def start() -> None:
            barrier.wait()
            self.start(backend, id="one")

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [p.id for p in backend.processes()] == ["one"]

    @pytest.mark.parametrize(
        ("decision", "status", "result"),
        [
            (CompleteProcess(12), Status.COMPLETED, ProcessCompleted(12)),
            (CancelProcess("no"), Status.CANCELED, ProcessCanceled("no")),
            (FailProcess("bad", [1]), Status.FAILED, ProcessFailed("bad", [1])),
        ],
    )
    def test_a_closing_decision_ends_the_process(
        self,
        backend: Backend,
        decision: CompleteProcess,
        status: Status,
        result: ProcessResult,
    ) -> None:
        process_id = self.start(backend)
        self.decide(backend, decision)

        process = backend.process_by_id(process_id)

        assert (process.status, process.result) == (status, result)
        assert backend.processes() == []
        assert backend.poll_decision_task() is None
        with pytest.raises(ProcessClosedError):
            backend.signal_process(process_id, "late")

    def test_canceling_closes_a_process_that_does_not_handle_it(self, backend: Backend) -> None:
        process_id = self.start(backend)
        backend.cancel_process(process_id, "enough")

        process = backend.process_by_id(process_id)

        assert process.result == ProcessCanceled("enough")
        assert process.history[-1] == DecisionEvent(CancelProcess("enough"))
        assert backend.poll_decision_task() is None

    def test_canceling_asks_a_process_that_handles_it(self, backend: Backend) -> None:
        self.requires(backend, Capability.CANCEL_REQUEST)
        process_id = self.start(backend, "polite")
        self.decide(backend)
        backend.cancel_process(process_id, "enough")

        task = self.decision(backend)

        assert task.process.unseen_events() == [CancelRequestedEvent("enough")]
        backend.complete_decision_task(task, CancelProcess("as asked"))
        assert backend.process_by_id(process_id).result == ProcessCanceled("as asked")

    def test_terminating_closes_any_process(self, backend: Backend) -> None:
        process_id = self.start(backend, "polite")
        backend.terminate_process(process_id, "stuck")

        assert backend.process_by_id(process_id).result == ProcessTerminated("stuck")

    def test_unknown_ids_are_told(self, backend: Backend) -> None:
        with pytest.raises(UnknownProcessError, match="nobody"):
            backend.process_by_id("nobody")
        for act in (backend.cancel_process, backend.terminate_process, backend.history):
            with pytest.raises(UnknownProcessError, match="nobody"):
                act("nobody")
        with pytest.raises(UnknownProcessError, match="nobody"):
            backend.signal_process("nobody", "x")

    def test_a_process_goes_on_as_a_new_run(self, backend: Backend) -> None:
        self.requires(backend, Capability.CONTINUE)
        process_id = self.start(backend, input=1, tags=["t"])
        self.decide(backend, ContinueProcess(input=2))

        task = self.decision(backend)

        assert (task.process.id, task.process.run, task.process.input) == (process_id, 2, 2)
        assert task.process.tags == ("t",)
        assert [e.type for e in task.process.history] == ["process_started", "decision_started"]
        assert backend.process_by_id(f"{process_id}:1").status is Status.CONTINUED

    def test_a_new_run_keeps_the_category_and_the_time_limit(self, backend: Backend) -> None:
        self.requires(backend, Capability.CONTINUE)
        self.start(backend, id="p", category="special", timeout=7)
        task = backend.poll_decision_task("special")
        assert task is not None
        backend.complete_decision_task(task, ContinueProcess())

        again = backend.poll_decision_task("special")

        assert again is not None
        assert (again.process.run, again.process.category, again.process.timeout) == (
            2,
            "special",
            7,
        )

    def test_the_first_start_repeated_means_the_process_that_goes_on(
        self, backend: Backend
    ) -> None:
        self.requires(backend, Capability.CONTINUE, Capability.REUSE)
        self.start(backend, id="p", input=1)
        self.decide(backend, ContinueProcess(input=2))

        assert self.start(backend, id="p", input=1) == "p"
        assert backend.process_by_id("p").run == 2
        with pytest.raises(ProcessAlreadyExistsError):
            self.start(backend, id="p", input=2)
