"""Multiply 3 by 4: ``python -m examples.multiply``."""

import threading

from examples.multiply import FooWorkflow
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.worker import ActivityWorker, DecisionWorker


def main() -> None:
    """Start the workers and a process, and print what happened."""
    manager = Manager(backend=MemoryBackend(), workflows=[FooWorkflow])
    workers = [ActivityWorker(manager), DecisionWorker(manager)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()

    process_id = manager.start_process(Process(workflow=FooWorkflow, input=[3, 4]))
    process = manager.wait_for_process(process_id, timeout=30)

    for worker in workers:
        worker.stop()
    for thread in threads:
        thread.join()
    print(*[event.type for event in process.history], sep=", ")
    print(process.result)


if __name__ == "__main__":
    main()
