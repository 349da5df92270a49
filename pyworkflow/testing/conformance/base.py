"""What the topics share."""

from collections.abc import Iterator

import pytest

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.decision import Decision, ScheduleActivity
from pyworkflow.process import Process
from pyworkflow.task import ActivityTask, DecisionTask


def types(backend: Backend, process_id: str) -> list[str]:
    """Return the types of a process's events, oldest first."""
    return [event.type for event in backend.history(process_id)]


class Contract:
    """Registers what the topics use, and checks the invariants after each test."""

    @pytest.fixture(autouse=True)
    def _types(self, backend: Backend) -> Iterator[None]:
        backend.register_workflow("order", timeout=86_400, decision_timeout=60)
        backend.register_workflow("polite", handles_cancel=True)
        backend.register_activity(
            "charge", scheduled_timeout=60, execution_timeout=600, heartbeat_timeout=120
        )
        yield
        if Capability.CHECK in backend.capabilities and not backend.closed:
            assert backend.check() == []

    def requires(self, backend: Backend, *capabilities: Capability) -> None:
        """Skip the test if the backend does not declare something that it needs."""
        for capability in capabilities:
            if capability not in backend.capabilities:
                pytest.skip(f"{backend.name} does not declare {capability}")

    def start(self, backend: Backend, workflow: str = "order", **given: object) -> str:
        """Start a process."""
        return backend.start_process(Process(workflow, **given))  # type: ignore[arg-type]

    def decision(self, backend: Backend) -> DecisionTask:
        """Return the next decision, which must be there."""
        task = backend.poll_decision_task()
        assert task is not None, "no decision waits"
        return task

    def activity(self, backend: Backend) -> ActivityTask:
        """Return the next activity, which must be there."""
        task = backend.poll_activity_task()
        assert task is not None, "no activity waits"
        return task

    def decide(self, backend: Backend, *decisions: Decision) -> DecisionTask:
        """Take the next decision and complete it."""
        task = self.decision(backend)
        backend.complete_decision_task(task, decisions)
        return task

    def scheduled(self, backend: Backend, **more: object) -> str:
        """Start a process and schedule one activity with the id ``a``."""
        process_id = self.start(backend)
        self.decide(backend, ScheduleActivity("charge", id="a", **more))  # type: ignore[arg-type]
        return process_id
