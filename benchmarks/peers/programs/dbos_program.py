"""DBOS: a workflow function with steps, on SQLite or PostgreSQL. A start is a run: both are in the time."""

import asyncio
import sqlite3

from dbos import DBOS, DBOSConfig

from benchmarks.peers.programs.common import Json, Stopwatch, order, percentiles, run, stepped


@DBOS.step()
def step(given: Json) -> Json:
    """Do one activity."""
    return stepped(given)


@DBOS.step()
async def astep(given: Json) -> Json:
    """Do one activity of many at once."""
    return stepped(given)


@DBOS.workflow()
def three(given: Json) -> Json:
    """Do three activities one after the other."""
    return step(step(step(given)))


@DBOS.workflow()
def one(given: Json) -> Json:
    """Do one activity."""
    return step(given)


@DBOS.workflow()
async def fan(given: Json, count: int) -> Json:
    """Do many activities at once."""
    await asyncio.gather(*(astep(given) for _ in range(count)))
    return {"ok": True}


def measure(work: str, count: int, url: str) -> Json:
    """Measure one workload."""
    if url.startswith("sqlite:"):
        # Its own default is the rollback journal, with which it does less than half as much.
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.execute("pragma journal_mode=wal")
    config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
    DBOS(config=config)
    DBOS.launch()
    try:
        DBOS.start_workflow(three, order(0)).get_result()
        return _measure(work, count)
    finally:
        DBOS.destroy()


def _measure(work: str, count: int) -> Json:
    if work == "w1":
        with Stopwatch() as watch:
            handles = [DBOS.start_workflow(three, order(number)) for number in range(count)]
            for handle in handles:
                handle.get_result()
        return {"rate_with_starts": count / watch.seconds}
    if work == "w2":
        with Stopwatch() as watch:
            asyncio.run(fan(order(1), count))
        return {"each": watch.seconds / count * 1e6}
    took = []
    for number in range(count):
        with Stopwatch() as watch:
            DBOS.start_workflow(one, order(number)).get_result()
        took.append(watch.seconds)
    return percentiles(took)


if __name__ == "__main__":
    run(measure)
