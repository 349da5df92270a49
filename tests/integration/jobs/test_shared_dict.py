"""What tasks leave for each other."""

from pathlib import Path

from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.jobs.restart import left_in_history
from tests.integration.jobs.kit import do, job, letters, lines, run


def test_no_update_is_lost_and_a_later_task_reads_them_all(tmp_path: Path) -> None:
    tasks = {f"add {number}": do("Add", times=50) for number in range(4)}
    tasks["tell"] = do("Tell", *tasks)

    report = run(job(tmp_path, tasks))

    assert set(letters(report).values()) == {"C"}
    assert lines("tell") == [("INFO", "[('count', 200)]")]


def test_values_are_json_and_copies_and_a_block_that_raises_writes_nothing(tmp_path: Path) -> None:
    report = run(job(tmp_path, {"share": do("Share")}))

    assert letters(report) == {"share": "F"}
    (_, told), (severity, shown) = lines("share")
    assert told == "{'list': [1, 3], 'a': 1, 'c': 3} False 3"
    assert severity == "ERROR"
    assert "shared_dict: has a value of type object, which is not JSON" in shown


def test_the_history_has_what_was_written_with_failures_too(tmp_path: Path) -> None:
    with MemoryBackend() as backend:
        tasks = {"share": do("Share"), "add": do("Add", times=3), "tell": do("Tell", "add")}
        run(job(tmp_path, tasks), backend=backend)

        left = left_in_history(backend, "flowmancer")

    assert left is not None
    assert left.shared_dict == {"list": [1, 3], "a": 1, "c": 3, "count": 3, "told": "tell"}
    assert set(left.done) == {"add", "tell"}
    assert left.restarted == ("share",)


def test_what_a_history_cannot_take_is_refused_as_it_is_written(tmp_path: Path) -> None:
    ways = ("share too much", "share too much in a transaction")
    with MemoryBackend() as backend:
        tasks = {how: do("Odd", how=how) for how in ways}
        report = run(job(tmp_path, tasks | {"add": do("Add", times=1)}), backend=backend)

        left = left_in_history(backend, "flowmancer")

    assert letters(report) == {**dict.fromkeys(ways, "F"), "add": "C"}
    for how in ways:
        assert "at most: leave a file, and its name here" in lines(how)[0][1]
    assert left is not None
    assert sorted(left.shared_dict) == ["0", "1", "count"]
