"""Riding out the outage of a store, and what PostgreSQL's errors say about one."""

from datetime import datetime as DateTime

import pytest

from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, ride_out
from pyworkflow.errors import (
    BackendFullError,
    BackendOutageError,
    BackendReadOnlyError,
    BackendUnavailableError,
    BackendVersionError,
    PayloadError,
    PyworkflowError,
)
from pyworkflow.manager import Manager
from pyworkflow.testing.clock import START

psycopg_errors = pytest.importorskip("psycopg.errors")


class Store:
    """Raises some errors, and answers then."""

    def __init__(self, *errors: BackendUnavailableError) -> None:
        self.errors = list(errors)
        self.reports: list[BackendUnavailableError] = []
        self.pauses: list[float] = []

    def call(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 7

    def ride_out(self, patience: float) -> int:
        return ride_out(self.call, self.reports.append, patience, sleep=self.pauses.append)


def test_a_call_is_made_again_until_the_store_answers_and_one_report_is_made() -> None:
    away = [BackendOutageError(f"away {n}") for n in range(10)]
    store = Store(*away, BackendFullError("full"))

    assert store.ride_out(60) == 7

    assert store.reports == away[:1]
    assert store.pauses == sorted(store.pauses)
    assert len(store.pauses) == 11
    assert max(store.pauses) == LONGEST_OUTAGE_PAUSE


def test_patience_ends() -> None:
    store = Store(*[BackendOutageError("away")] * 100)

    with pytest.raises(BackendOutageError):
        store.ride_out(10)

    assert 10 - LONGEST_OUTAGE_PAUSE < sum(store.pauses) <= 10


def test_the_time_that_a_call_takes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("pyworkflow.backoff.time.monotonic", lambda: now[0])
    calls: list[float] = []

    def call() -> None:
        now[0] += 30
        calls.append(now[0])
        raise BackendOutageError("locked")

    with pytest.raises(BackendOutageError):
        ride_out(call, lambda error: None, 60, sleep=lambda seconds: None)

    assert calls == [30, 60, 90]


def test_without_patience_a_call_is_made_once() -> None:
    store = Store(BackendOutageError("away"))

    with pytest.raises(BackendOutageError):
        store.ride_out(0)

    assert store.pauses == []
    assert store.reports == []


@pytest.mark.parametrize(
    "kind", [BackendReadOnlyError, BackendVersionError, BackendUnavailableError]
)
def test_what_does_not_pass_by_itself_is_raised_at_once(
    kind: type[BackendUnavailableError],
) -> None:
    store = Store(kind("for good"))

    with pytest.raises(kind):
        store.ride_out(60)

    assert store.pauses == []


def test_a_managers_purge_rides_out_an_outage() -> None:
    answers: list[int | BackendUnavailableError] = [1000, BackendOutageError("away"), 5, 0]

    class Flaky(MemoryBackend):
        def purge(self, closed_before: DateTime, limit: int = 1000) -> int:
            answer = answers.pop(0)
            if isinstance(answer, BackendUnavailableError):
                raise answer
            return answer

    assert Manager(Flaky()).purge(START) == 1005


# -- PostgreSQL's errors -----------------------------------------------------------------------------------------------------------

PASSES = (
    "08000", "08006", "08P01",  # the connection
    "25P03", "25P04",  # idle in a transaction, a transaction for too long
    "40001", "40P01", "55P03",  # other transactions
    "53000", "53200", "53300", "53400",  # memory, connections
    "57P01", "57P02", "57P03", "57P05",  # the server stops, crashed, starts; idle
    "58000", "58030",  # system calls
)  # fmt: skip


@pytest.mark.parametrize(
    ("states", "kind"),
    [
        (PASSES, BackendOutageError),
        (("53100",), BackendFullError),
        (("25006", "42501"), BackendReadOnlyError),
        (("42P01", "42703", "3F000"), BackendVersionError),
        (("57014", "XX000", "XX001"), BackendUnavailableError),
        (("22000", "22003", "22P02", "23502", "23514", "54000"), PayloadError),
    ],
)
def test_an_sqlstate_says_what_to_do(states: tuple[str, ...], kind: type[PyworkflowError]) -> None:
    from pyworkflow.backend.postgresql.errors import translate

    for state in states:
        error = translate(
            psycopg_errors.lookup(state)("words of the server"), "postgresql://db/shop"
        )

        assert type(error) is kind, state
        assert "postgresql://db/shop" in str(error)
        assert "words of the server" in str(error)


@pytest.mark.parametrize("state", ["08006", "25P03", "57P01", "57P02", "57P03"])
def test_a_lost_connection_is_known_by_the_last_words_of_the_server(state: str) -> None:
    from pyworkflow.backend.postgresql.errors import is_lost

    assert is_lost(psycopg_errors.lookup(state)())
    assert not is_lost(psycopg_errors.lookup("57014")())
