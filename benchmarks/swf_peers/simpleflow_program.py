# pyright: reportMissingImports=false
"""Processes of three activities by simpleflow: ``python -m benchmarks.swf_peers.simpleflow_program DOMAIN COUNT``."""

import logging
import sys
from contextlib import suppress

from simpleflow import Workflow, activity, futures
from simpleflow.swf.mapper.exceptions import PollTimeout
from simpleflow.swf.mapper.models import Domain
from simpleflow.swf.mapper.models.workflow import WorkflowType
from simpleflow.swf.process.decider import helpers
from simpleflow.swf.process.decider.base import process_decision
from simpleflow.swf.process.worker.base import ActivityPoller, process_task

from benchmarks.swf_peers import counting

QUEUE = "order"

MOST_TURNS = 12
"""Decisions that a process may take."""


@activity.with_attributes(task_list=QUEUE, version="1.0")
def step(number: int) -> int:
    """Count on."""
    return number + 1


class Order(Workflow):
    """Three activities, one after the other."""

    name = "order"
    version = "1.0"
    task_list = QUEUE

    def run(self) -> int:
        """Go through the steps."""
        number = 0
        for _ in range(3):
            done = self.submit(step, number)
            futures.wait(done)
            number = done.result
        return number


def main() -> None:
    """Start, decide and work until all is done."""
    domain, count = sys.argv[1], int(sys.argv[2])
    logging.disable(logging.WARNING)
    WorkflowType(
        Domain(domain),
        name="order",
        version="1.0",
        task_list=QUEUE,
        execution_timeout="3600",
        decision_tasks_timeout="60",
        child_policy="TERMINATE",
    ).save()
    workflow = "benchmarks.swf_peers.simpleflow_program.Order"
    decides = helpers.make_decider_poller([workflow], domain, QUEUE)
    works = ActivityPoller(Domain(domain), QUEUE)
    client = counting.client()
    counting.count()
    for number in range(count):
        client.start_workflow_execution(
            domain=domain,
            workflowId=f"p{number}",
            workflowType={"name": "order", "version": "1.0"},
            taskList={"name": QUEUE},
            input="{}",
            executionStartToCloseTimeout="3600",
            taskStartToCloseTimeout="60",
            childPolicy="TERMINATE",
        )
        for _ in range(MOST_TURNS):
            # It registers an activity's type when SWF has refused to schedule it: how many decisions that takes is its own affair.
            with suppress(PollTimeout):
                process_decision(decides, decides.poll(QUEUE, "bench"))
            if not counting.is_open(domain, number + 1):
                break
            with suppress(PollTimeout):
                answer = works.poll(QUEUE, "bench")
                process_task(works, answer.task_token, answer.activity_task)
    if counting.is_open(domain, count):
        sys.exit("not all processes are completed")
    counting.report()


if __name__ == "__main__":
    main()
