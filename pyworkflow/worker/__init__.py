"""Workers: they do what tasks ask for."""

from pyworkflow.worker.simple import ActivityWorker, DecisionWorker
from pyworkflow.worker.thread import WorkerThread
from pyworkflow.worker.worker import Worker

__all__ = ["ActivityWorker", "DecisionWorker", "Worker", "WorkerThread"]
