"""Processes of three activities by pyworkflow: ``python -m benchmarks.swf_peers.ours_program DOMAIN COUNT``."""

import sys

from benchmarks.swf_peers import counting
from pyworkflow.activity import activity
from pyworkflow.backend import connect
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.event import ActivityEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.worker import ActivityWorker, DecisionWorker
from pyworkflow.workflow import Decidable, Workflow


@activity
def step(number: int) -> int:
    """Count on."""
    return number + 1


class Order(Workflow):
    """Three activities, one after the other."""

    activities = (step,)

    def decide(self, process: Process) -> Decidable:
        """Go through the steps."""
        done = len(process.history.find(ActivityEvent))
        return ScheduleActivity(step, input=done) if done < 3 else CompleteProcess(done)


def main() -> None:
    """Start, decide and work until all is done."""
    domain, count = sys.argv[1], int(sys.argv[2])
    with connect(f"swf://{counting.REGION}/{domain}") as backend:
        manager = Manager(backend, [Order])
        decides, works = DecisionWorker(manager), ActivityWorker(manager)
        counting.count()
        for number in range(count):
            manager.start_process(Process(Order, input=number))
            for _ in range(3):
                decides.step()
                works.step()
            decides.step()
        if counting.is_open(domain, count):
            sys.exit("not all processes are completed")
        counting.report()


if __name__ == "__main__":
    main()
