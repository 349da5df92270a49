"""Going on from a point of failure, in one driver after another."""

from pathlib import Path

import pytest

from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.codec import to_plain
from pyworkflow.jobs.definition import JobConfig, JobDefinition, PluginDefinition
from pyworkflow.jobs.errors import JobError
from pyworkflow.jobs.loggers import LOGGERS
from pyworkflow.jobs.restart import Beginning, left_in_history
from pyworkflow.process import Process
from tests.integration.jobs.kit import do, job, letters, lines, moves, run, traced


def mendable(root: Path) -> JobDefinition:
    """Return a job that fails until a file is there."""
    trace, mended = str(root / "trace"), str(root / "mended")
    return job(
        root,
        {
            "first": do("Live", trace=trace),
            "share": do("Add", "first", times=2),
            "fail": do("Fail", "share", mended_by=mended),
            "last": do("Live", "fail", trace=trace),
            "tell": do("Tell", "last"),
        },
        checkpointer=None,
    )


def test_only_what_had_not_completed_runs_and_finds_what_was_shared(tmp_path: Path) -> None:
    definition = mendable(tmp_path)
    first = run(definition)
    assert letters(first) == {"first": "C", "share": "C", "fail": "F", "last": "D", "tell": "D"}
    (tmp_path / "mended").touch()

    second = run(definition, restart=True)

    assert second.restarted
    assert set(letters(second).values()) == {"C"}
    assert moves("first") == ["_C"]
    assert moves("fail") == ["_P", "PR", "RC"]
    assert lines("tell") == [("INFO", "[('count', 2)]")]
    # `last` had never begun, so there is nothing to clear up after it.
    called = ["on_create", "run", "on_success", "on_destroy"]
    assert traced(tmp_path / "trace") == [
        f"{name} {c}" for name in ("first", "last") for c in called
    ]
    assert getattr(LOGGERS.get("Keep"), "calls") == [  # noqa: B009 - only this subclass has it
        "on_create",
        "on_restart",
        "on_success",
        "on_destroy",
    ]


def test_a_task_that_had_failed_is_told_to_clear_up(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    definition = job(tmp_path, {"a": do("Live", trace=str(trace), raises=["run"])})
    run(definition)
    trace.unlink()

    run(definition, restart=True)

    assert traced(trace) == ["a on_create", "a on_restart", "a run", "a on_failure", "a on_destroy"]


@pytest.mark.parametrize("before", ["nothing", "success"])
def test_without_a_failure_a_restart_is_a_start_with_a_message(tmp_path: Path, before: str) -> None:
    definition = job(tmp_path, {"a": do("Nothing")})
    if before == "success":
        run(definition)
    said: list[str] = []

    report = run(definition, restart=True, say=said.append)

    assert said == ["no earlier failure of job 'flowmancer': it starts from the beginning"]
    assert moves("a") == ["_P", "PR", "RC"]
    assert not report.restarted


def test_a_restart_that_ends_before_a_task_begins_leaves_it_to_the_next_one() -> None:
    began = Beginning(("a", "b"), done=("a",), restarted=("b",), shared_dict={"n": 1})
    with MemoryBackend() as backend:
        backend.register_workflow("job")
        backend.start_process(Process("job", "flowmancer", to_plain(began)))
        backend.terminate_process("flowmancer", "another driver took over")

        assert left_in_history(backend, "flowmancer") == began


def test_a_start_without_restart_forgets_what_was_left(tmp_path: Path) -> None:
    definition = mendable(tmp_path)
    run(definition)

    report = run(definition)

    assert report.run == 2
    assert moves("first") == ["_P", "PR", "RC"]


def test_another_set_of_tasks_cannot_be_restarted(tmp_path: Path) -> None:
    definition = mendable(tmp_path)
    run(definition)
    changed = job(tmp_path, {"first": do("Nothing"), "new": do("Nothing")})

    with pytest.raises(
        JobError, match=r"tasks have changed \(new: new; gone: fail, last, share, tell\)"
    ):
        run(changed, restart=True)


def test_a_job_may_have_any_name_and_any_backend(tmp_path: Path) -> None:
    definition = job(tmp_path, {"a b": do("Nothing")}, config=JobConfig(name="reports/daily: 1"))

    with MemoryBackend() as backend:
        report = run(definition, backend=backend)
        assert backend.process_by_id(report.process_id).result is not None

    assert letters(report) == {"a b": "C"}
    assert not (tmp_path / ".flowmancer").exists()


def test_a_checkpointer_gets_its_calls_at_its_intervals(tmp_path: Path) -> None:
    from tests.integration.jobs import kit

    definition = kit.job(
        tmp_path,
        {"add": do("Add", times=2), "fail": do("Fail", "add", mended_by=str(tmp_path / "mended"))},
        checkpointer=PluginDefinition("Jar", {"file": str(tmp_path / "jar")}),
    )
    calls = jar_calls()

    with MemoryBackend() as backend:
        run(definition, backend=backend)
    assert calls == [
        "write",
        "write",
    ]  # as the job began, and as it ended: the interval is ten seconds

    (tmp_path / "mended").touch()
    calls.clear()
    with MemoryBackend() as backend:  # another, which knows nothing
        report = run(definition, backend=backend, restart=True)
    assert (calls[0], calls[-1]) == ("read", "clear")
    assert report.restarted
    assert moves("add") == ["_C"]

    calls.clear()
    said: list[str] = []
    with MemoryBackend() as backend:
        run(definition, backend=backend, restart=True, say=said.append)
    assert len(said) == 1


def jar_calls() -> list[str]:
    """Return the list that the checkpointer writes its calls down in, empty."""
    from pyworkflow.jobs.checkpointer import CHECKPOINTERS

    calls: list[str] = getattr(CHECKPOINTERS.get("Jar"), "calls")  # noqa: B009 - as above
    calls.clear()
    return calls


def test_plugins_that_raise_do_not_end_the_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = {
        "loggers": {"bad": PluginDefinition("BrokenLogger"), "good": PluginDefinition("Keep")},
        "extensions": {"bad": PluginDefinition("BrokenExtension")},
        # A folder stands where it would write.
        "checkpointer": PluginDefinition("Jar", {"file": str(tmp_path)}),
    }

    report = run(job(tmp_path, {"speak": do("Speak")}, **plugins))

    assert letters(report) == {"speak": "C"}
    assert ("INFO", "one line") in lines("speak")
    told = [record.message for record in caplog.records]
    assert "BrokenLogger.update raised RuntimeError: no room; the job goes on" in told
    assert len(told) == len(set(told))
    assert any("BrokenExtension.update" in line for line in told)
    assert any("Jar.write_checkpoint" in line for line in told)
