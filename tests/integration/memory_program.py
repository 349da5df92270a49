"""A worker with 400 processes whose payloads have 100 kB each: prints by how many bytes they have made it grow at most.

python -m tests.integration.memory_program URL STYLE
"""

import gc
import sys
from pathlib import Path
from threading import Thread
from typing import Any

from pyworkflow.activity import activity
from pyworkflow.backend import connect
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.worker import Worker
from pyworkflow.workflow import DefaultWorkflow

PROCESSES = 400
PAYLOAD = 100_000


@activity
def pass_on(text: str) -> str:
    return text[1:] + text[0]


class Handled(DefaultWorkflow):
    name = "handlers"
    activities = (pass_on,)

    def initiate(self, process: Process) -> Any:
        return pass_on

    def respond_to_completed_activity(self, process: Process, execution: Any, result: Any) -> Any:
        done = sum(event.type == "activity" for event in process.history)
        return CompleteProcess(result) if done == 3 else ScheduleActivity(pass_on, input=result)


class Replayed(ReplayWorkflow):
    name = "replay"
    activities = (pass_on,)

    async def run(self, text: str) -> str:
        for _ in range(3):
            text = await self.activity(pass_on, text)
        return text


def bytes_of(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(what))


def main(url: str, style: str) -> None:
    workflow = {"handlers": Handled, "replay": Replayed}[style]
    with connect(url) as backend:
        manager = Manager(backend, [workflow])

        def start(count: int, name: str) -> list[str]:
            return [
                manager.start_process(Process(workflow, f"{name}{n}", f"{n}".ljust(PAYLOAD, "x")))
                for n in range(count)
            ]

        def work(ids: list[str]) -> None:
            worker = Worker(manager)
            thread = Thread(target=worker.run)
            thread.start()
            for process_id in ids:
                manager.wait_for_process(process_id, 100)
            worker.stop()
            thread.join()

        # What is imported and opened with the first of them is there once.
        work(start(3, "first"))
        gc.collect()
        ids = start(PROCESSES, "p")
        gc.collect()
        before = bytes_of("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        work(ids)
        sys.stdout.write(f"{bytes_of('VmHWM') - before}")
        assert len(backend.processes(status=Status.COMPLETED)) == PROCESSES + 3


if __name__ == "__main__":
    main(*sys.argv[1:])
