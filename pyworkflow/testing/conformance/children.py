"""Child processes: started once, their end told once."""

import pytest

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.decision import (
    CancelProcess,
    ChildPolicy,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    RequestCancelProcess,
    StartChildProcess,
)
from pyworkflow.event import ChildProcessEvent, DecisionRejectedEvent
from pyworkflow.process import Process, Status
from pyworkflow.result import (
    AnyProcessResult,
    ProcessCanceled,
    ProcessCompleted,
    ProcessFailed,
    ProcessTerminated,
)
from pyworkflow.task import DecisionTask
from pyworkflow.testing.conformance.base import Contract


class Children(Contract):
    """Parents and children."""

    def family(
        self, backend: Backend, policy: str = ChildPolicy.ABANDON, workflow: str = "order"
    ) -> DecisionTask:
        """Start a parent and its child; return the child's first decision."""
        self.requires(backend, Capability.CHILDREN)
        self.start(backend, id="parent")
        child = Process(workflow, id="kid", input=0, tags=["small"])
        self.decide(backend, StartChildProcess(child, policy))
        return self.decision(backend)

    @pytest.mark.parametrize(
        ("decision", "result"),
        [
            (CompleteProcess(50), ProcessCompleted(50)),
            (CancelProcess("no"), ProcessCanceled("no")),
            (FailProcess("bad"), ProcessFailed("bad")),
        ],
    )
    def test_the_parent_is_told_once_how_its_child_ended(
        self, backend: Backend, decision: CompleteProcess, result: AnyProcessResult
    ) -> None:
        task = self.family(backend)
        assert (task.process.id, task.process.parent, task.process.input) == ("kid", "parent", 0)
        backend.complete_decision_task(task, decision)

        parent = self.decision(backend).process

        assert parent.history[-2] == ChildProcessEvent("kid", result, "order", ("small",))
        assert len(parent.history.find(ChildProcessEvent)) == 1

    def test_a_terminated_child_is_told_too(self, backend: Backend) -> None:
        self.family(backend)
        backend.terminate_process("kid", "stuck")

        event = self.decision(backend).process.unseen_events()[-1]

        assert event == ChildProcessEvent("kid", ProcessTerminated("stuck"), "order", ("small",))

    @pytest.mark.parametrize("taken", ["parent", "other"])
    def test_a_taken_id_is_told_as_an_event(self, backend: Backend, taken: str) -> None:
        self.requires(backend, Capability.CHILDREN)
        self.start(backend, id="other")
        self.decide(backend)
        self.start(backend, id="parent")
        decision = StartChildProcess(Process("order", id=taken))
        self.decide(backend, decision)

        event = self.decision(backend).process.unseen_events()[-1]

        assert isinstance(event, DecisionRejectedEvent)
        assert event.decision == decision
        assert event.reason == f"process {taken!r} already exists: it is open"

    @pytest.mark.parametrize(
        ("policy", "workflow", "status"),
        [
            (ChildPolicy.ABANDON, "order", Status.OPEN),
            (ChildPolicy.TERMINATE, "order", Status.TERMINATED),
            (ChildPolicy.REQUEST_CANCEL, "order", Status.CANCELED),
            (ChildPolicy.REQUEST_CANCEL, "polite", Status.OPEN),
        ],
    )
    def test_the_end_of_the_parent_follows_the_policy(
        self, backend: Backend, policy: str, workflow: str, status: Status
    ) -> None:
        task = self.family(backend, policy, workflow)
        backend.complete_decision_task(task, [])
        backend.terminate_process("parent")

        kid = backend.process_by_id("kid")

        assert kid.status is status
        asked = kid.history[-1].type == "cancel_requested"
        assert asked == (workflow == "polite")

    @pytest.mark.parametrize(
        "more", [[], [CompleteProcess(1)], [StartChildProcess(Process("order"))]]
    )
    def test_a_child_that_ends_its_parent_and_so_itself_decides_no_more(
        self, backend: Backend, more: list[Decision]
    ) -> None:
        self.requires(backend, Capability.EXTERNAL)
        task = self.family(backend, ChildPolicy.TERMINATE)
        backend.complete_decision_task(task, [RequestCancelProcess("parent"), *more])

        assert backend.process_by_id("parent").status is Status.CANCELED
        assert backend.process_by_id("kid").status is Status.TERMINATED
        assert backend.processes() == []

    def test_an_open_child_is_not_started_again(self, backend: Backend) -> None:
        self.family(backend)
        backend.signal_process("parent", "again")
        self.decide(backend, StartChildProcess(Process("order", id="kid")))

        assert isinstance(self.decision(backend).process.history[-2], DecisionRejectedEvent)

    def test_the_end_of_a_child_of_a_closed_parent_disturbs_nobody(self, backend: Backend) -> None:
        task = self.family(backend)
        backend.terminate_process("parent")
        backend.complete_decision_task(task, CompleteProcess(1))

        assert backend.process_by_id("kid").result == ProcessCompleted(1)
        assert backend.process_by_id("parent").history[-1].type == "process_terminated"

    def test_a_new_run_of_the_parent_hears_of_the_child(self, backend: Backend) -> None:
        self.requires(backend, Capability.CONTINUE)
        kid = self.family(backend)
        backend.signal_process("parent", "again")
        self.decide(backend, ContinueProcess())
        self.decide(backend)
        backend.complete_decision_task(kid, CompleteProcess(1))

        task = self.decision(backend)

        assert (task.process.id, task.process.run) == ("parent", 2)
        assert isinstance(task.process.unseen_events()[-1], ChildProcessEvent)

    def test_a_new_run_of_the_child_still_answers_to_its_parent(self, backend: Backend) -> None:
        kid = self.family(backend)
        self.requires(backend, Capability.CONTINUE)
        backend.complete_decision_task(kid, ContinueProcess(input=1))
        self.decide(backend, CompleteProcess(2))

        event = self.decision(backend).process.unseen_events()[-1]

        assert event == ChildProcessEvent("kid", ProcessCompleted(2), "order", ("small",))
