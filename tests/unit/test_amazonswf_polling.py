"""Long polls of many queues on one Amazon SWF backend object."""

import threading

import pytest

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.amazonswf.polling import Polling
from pyworkflow.backend.base import Poll
from pyworkflow.errors import BackendUnavailableError
from pyworkflow.task import ActivityTask, DecisionTask

TASK = ActivityTask(ActivityExecution("charge", "a"), "p")


def _poll(poll: Poll) -> ActivityTask | DecisionTask | None:
    if poll.category == "denied":
        raise BackendUnavailableError("access to task list 'denied' is denied")
    return TASK


def test_an_error_of_one_queue_goes_to_those_who_wait_for_that_queue() -> None:
    polling = Polling(_poll, lambda task: None)
    assert polling.take([Poll(ActivityTask, "denied")], -1) == []
    for thread in threading.enumerate():
        if thread.name == "pyworkflow-poll-denied":
            thread.join()

    assert polling.take([Poll(ActivityTask, "healthy")], 60) == [TASK]
    with pytest.raises(BackendUnavailableError, match="denied"):
        polling.take([Poll(ActivityTask, "denied")], 60)
