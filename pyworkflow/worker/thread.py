"""A thread that works, for programs that have other things to do."""

import logging
from logging import Logger
from threading import Event, Thread

from pyworkflow.backoff import Backoff
from pyworkflow.worker.simple import SimpleWorker


class WorkerThread(Thread):
    """Steps a worker again and again.

    Args:
        worker: An `ActivityWorker` or `DecisionWorker`.
        logger: Where errors go; ``pyworkflow.worker`` if left out.
        delay_on_idle: Seconds to sleep when nothing waits. After an error the delay grows with each one.
    """

    def __init__(
        self, worker: SimpleWorker, logger: Logger | None = None, delay_on_idle: float = 1
    ) -> None:
        super().__init__(daemon=True, name=f"pyworkflow-{worker.name}")
        self.worker = worker
        self.logger = logger or logging.getLogger("pyworkflow.worker")
        self.delay_on_idle = delay_on_idle
        self._stop_asked = Event()

    def run(self) -> None:
        """Step until `stop` is called."""
        backoff = Backoff(self.delay_on_idle)
        while not self._stop_asked.is_set():
            try:
                busy = self.worker.step(self.logger)
                backoff.succeed()
                if not busy:
                    self._stop_asked.wait(self.delay_on_idle)
            except Exception:
                self.logger.exception("worker %s goes on after an error", self.worker.name)
                self._stop_asked.wait(backoff.pause())

    def stop(self) -> None:
        """Have `run` return after the present step."""
        self._stop_asked.set()

    def join(self, timeout: float | None = None) -> None:
        """Stop, and wait for the end of the present step."""
        self.stop()
        super().join(timeout)
