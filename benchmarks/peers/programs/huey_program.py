"""huey: tasks in a pipeline, on a SQLite file that is flushed at every commit as pyworkflow's is. It keeps no history."""

from typing import Any

from huey import SqliteHuey

from benchmarks.peers.programs.common import Json, Stopwatch, order, percentiles, run, stepped

# A result is looked for at growing intervals, of up to a second by default: far longer than a task takes.
SOON: dict[str, Any] = {"blocking": True, "timeout": 600, "backoff": 1.0, "max_delay": 0.001}


def measure(work: str, count: int, url: str) -> Json:
    """Measure one workload."""
    huey = SqliteHuey("bench", filename=url.removeprefix("sqlite:///"), fsync=True)

    # A dict that a task returns is the next one's keyword arguments.
    @huey.task()
    def step(**given: Any) -> Json:
        return stepped(given)

    consumer = huey.create_consumer(workers=8, initial_delay=0.001, max_delay=0.001, periodic=False)
    try:
        if work == "w1":
            results = []
            for number in range(count):
                *_, last = huey.enqueue(step.s(**order(number)).then(step).then(step))
                results.append(last)
            with Stopwatch() as watch:
                consumer.start()
                for result in results:
                    result.get(**SOON)
            return {"rate": count / watch.seconds}
        if work == "w2":
            consumer.start()
            with Stopwatch() as watch:
                for result in [step(**order(1)) for _ in range(count)]:
                    result.get(**SOON)
            return {"each": watch.seconds / count * 1e6}
        consumer.start()
        step(**order(0)).get(**SOON)
        took = []
        for number in range(count):
            with Stopwatch() as watch:
                step(**order(number)).get(**SOON)
            took.append(watch.seconds)
        return percentiles(took)
    finally:
        consumer.stop(graceful=False)


if __name__ == "__main__":
    run(measure)
