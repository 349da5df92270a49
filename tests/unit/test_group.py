"""Group commit: one thread commits for those that have come meanwhile."""

import signal
import threading
from collections.abc import Callable

import pytest

from pyworkflow.backend.group import GroupCommit, Rider, Submission
from pyworkflow.errors import BackendOutageError, ReentrantCallError


def work(unit: object) -> None:
    """Stand for a work; nothing here runs one."""


def in_threads(count: int, act: Callable[[int], object]) -> list[object]:
    results: list[object] = [None] * count

    def run(place: int) -> None:
        try:
            results[place] = act(place)
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


def test_what_comes_during_a_commit_goes_into_the_next_one() -> None:
    groups: list[int] = []
    waiting = threading.Semaphore(0)

    def commit(group: list[Submission]) -> None:
        if not groups:
            # The first one is held up until all others have come.
            while len(grouped._queue) < 7:
                waiting.acquire(timeout=0.001)
        groups.append(len(group))
        for submission in group:
            submission.results = ["done"]

    grouped = GroupCommit(commit)

    assert in_threads(8, lambda _: grouped.submit([work])) == [["done"]] * 8
    assert groups == [1, 7]


def test_an_outage_is_that_of_its_whole_group_and_of_no_other() -> None:
    failures = 0

    def commit(group: list[Submission]) -> None:
        nonlocal failures
        if any(submission.works == [] for submission in group):
            failures += len(group)
            raise BackendOutageError("away")
        for submission in group:
            submission.results = ["done"]

    grouped = GroupCommit(commit)

    results = in_threads(40, lambda n: grouped.submit([work] if n % 5 else []))

    errors = [result for result in results if isinstance(result, BackendOutageError)]
    assert len(errors) == failures >= 8
    assert len({id(error) for error in errors}) == failures
    assert {str(error) for error in errors} == {"away"}
    assert results.count(["done"]) == 40 - failures


def test_a_fault_of_one_call_is_its_own() -> None:
    groups: list[int] = []
    waiting = threading.Event()

    def commit(group: list[Submission]) -> None:
        if not groups:
            # The first one is held up until all others have come.
            while len(grouped._queue) < 39:
                waiting.wait(0.001)
        groups.append(len(group))
        for submission in group:
            if submission.works == []:
                raise ZeroDivisionError
            submission.results = ["done"]

    grouped = GroupCommit(commit)

    results = in_threads(40, lambda n: grouped.submit([work] if n % 5 else []))

    assert max(groups) == 39
    assert sum(isinstance(result, ZeroDivisionError) for result in results) == 8
    assert results.count(["done"]) == 32


@pytest.mark.parametrize("leads", [False, True])
def test_a_thread_that_is_interrupted_in_its_sleep_leaves_the_others_going(
    leads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three threads is interrupted, before or after it was its turn to commit."""
    wait = Submission.wait
    asleep: list[Submission] = []
    ended = threading.Event()

    def interrupted(submission: Submission) -> None:
        asleep.append(submission)
        if submission is not asleep[0]:
            wait(submission)
            return
        if leads:
            wait(submission)
        ended.set()
        raise KeyboardInterrupt

    def commit(group: list[Submission]) -> None:
        # The first one is held up until the others sleep, in their order.
        while len(asleep) < 2:
            ended.wait(0.001)
        if not leads:
            ended.wait(60)
        for submission in group:
            submission.results = ["done"]

    monkeypatch.setattr(Submission, "wait", interrupted)
    grouped = GroupCommit(commit)

    results = in_threads(3, lambda _: grouped.submit([work]))

    assert sorted(map(str, results)) == ["", "['done']", "['done']"]
    assert grouped.submit([work]) == ["done"]


def test_a_thread_that_is_interrupted_leaves_the_others_going() -> None:
    first = True

    def commit(group: list[Submission]) -> None:
        nonlocal first
        was_first, first = first, False
        if was_first:
            raise KeyboardInterrupt
        for submission in group:
            submission.results = ["done"]

    grouped = GroupCommit(commit)

    with pytest.raises(KeyboardInterrupt):
        grouped.submit([work])
    assert in_threads(20, lambda _: grouped.submit([work])) == [["done"]] * 20


def in_thread(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_rider_goes_along_until_there_is_something_for_it() -> None:
    groups: list[int] = []

    def commit(group: list[Submission]) -> None:
        groups.append(len(group))
        for submission in group:
            submission.results = [[] if len(groups) < 3 else ["task"]]

    grouped = GroupCommit(commit)

    rider = Rider([work])
    with grouped.riding(rider):
        for _ in range(4):
            grouped.submit([work])
        rider.sleep(60)
        results = rider.results

    assert results == [["task"]]
    assert groups == [2, 2, 2, 1]


def test_a_rider_that_leaves_during_a_commit_still_gets_what_that_has_for_it() -> None:
    begun, go = threading.Event(), threading.Event()

    def commit(group: list[Submission]) -> None:
        begun.set()
        assert go.wait(60)
        for submission in group:
            submission.results = [["task"]]

    grouped = GroupCommit(commit)
    rider = Rider([work])
    riding = grouped.riding(rider)
    riding.__enter__()
    leader = in_thread(lambda: grouped.submit([work]))
    assert begun.wait(60)
    leaving = in_thread(lambda: riding.__exit__(None, None, None))
    while not rider.leaves:
        leaving.join(0.001)
    go.set()
    for thread in (leader, leaving):
        thread.join(60)
        assert not thread.is_alive()

    assert rider.results == [["task"]]


def test_a_commit_that_fails_is_no_riders_failure() -> None:
    failing = True

    def commit(group: list[Submission]) -> None:
        for submission in group:
            submission.results = [["task"]]
        if failing:
            raise ValueError("no commit")

    grouped = GroupCommit(commit)

    rider = Rider([work])
    with grouped.riding(rider):
        with pytest.raises(ValueError, match="no commit"):
            grouped.submit([work])
        assert rider.results == []
        failing = False
        grouped.submit([work])

    assert rider.results == [["task"]]


def test_riders_can_be_called_to_look_for_themselves_during_a_commit_too() -> None:
    begun, go = threading.Event(), threading.Event()

    def commit(group: list[Submission]) -> None:
        begun.set()
        assert go.wait(60)

    grouped = GroupCommit(commit)

    rider = Rider([work])
    with grouped.riding(rider):
        leader = in_thread(lambda: grouped.submit([work]))
        assert begun.wait(60)
        grouped.call_riders()
        rider.sleep(60)
        go.set()
        leader.join(60)

    assert rider.results == []


def test_who_comes_during_a_commit_looks_again_after_it() -> None:
    """Its own look may have been too early, and this commit has not taken it along."""
    begun, go = threading.Event(), threading.Event()

    def commit(group: list[Submission]) -> None:
        begun.set()
        assert go.wait(60)

    grouped = GroupCommit(commit)
    leader = in_thread(lambda: grouped.submit([work]))
    assert begun.wait(60)

    rider = Rider([work])
    with grouped.riding(rider):
        go.set()
        leader.join(60)
        assert rider._called.acquire(blocking=False)


def test_who_committed_for_others_is_interrupted_alone() -> None:
    groups: list[int] = []
    waiting = threading.Event()

    def commit(group: list[Submission]) -> None:
        groups.append(len(group))
        if len(groups) == 1:
            # The first one is held up until the others have come.
            while len(grouped._queue) < 2:
                waiting.wait(0.001)
        elif len(groups) == 2:
            raise KeyboardInterrupt

    grouped = GroupCommit(commit)

    results = in_threads(3, lambda _: grouped.submit([work]))

    assert groups == [1, 2]
    assert sorted(type(result).__name__ for result in results) == [
        "BackendUnavailableError",
        "KeyboardInterrupt",
        "list",
    ]


@pytest.mark.parametrize("where", ["leading", "waiting"])
def test_a_call_from_a_signal_handler_of_a_thread_that_calls_is_refused(where: str) -> None:
    refused: list[BaseException] = []
    others = threading.Event()

    def on_signal(*_: object) -> None:
        try:
            grouped.submit([work])
        except ReentrantCallError as error:
            refused.append(error)
        finally:
            others.set()

    def commit(group: list[Submission]) -> None:
        if not refused:
            signal.raise_signal(signal.SIGUSR1) if where == "leading" else others.wait(30)
        for submission in group:
            submission.results = ["done"]

    grouped = GroupCommit(commit)
    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        leader = threading.Thread(target=grouped.submit, args=([work],))
        if where == "waiting":
            leader.start()
            interrupt = threading.Timer(0, interrupt_waiter, args=(grouped,))
            interrupt.start()
        assert grouped.submit([work]) == ["done"]
        if where == "waiting":
            leader.join(30)
            interrupt.join(30)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert len(refused) == 1
    assert grouped.submit([work]) == ["done"]


def interrupt_waiter(grouped: GroupCommit) -> None:
    while not grouped._queue:
        threading.Event().wait(0.001)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def test_an_error_that_a_signal_handler_raises_is_that_of_its_own_thread() -> None:
    def commit(group: list[Submission]) -> None:
        while len(grouped._queue) < 3 and len(group) == 1:
            threading.Event().wait(0.001)
        if len(group) > 1:
            raise ReentrantCallError("by a handler")
        group[0].results = ["done"]

    grouped = GroupCommit(commit)

    results = in_threads(4, lambda _: grouped.submit([work]))

    assert results.count(["done"]) == 1
    assert sorted(type(r).__name__ for r in results if r != ["done"]) == [
        "BackendUnavailableError",
        "BackendUnavailableError",
        "ReentrantCallError",
    ]
