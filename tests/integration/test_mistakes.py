"""A mistake changes nothing on stores either: some of `tests/unit/test_mistakes.py`, whose places are the same everywhere."""

import pytest

from pyworkflow.testing.clock import FakeClock
from tests.local_backends import local_backend
from tests.mistake_programs import KINDS, OTHERS, REPLAYED, play

PLACES = REPLAYED | OTHERS

SAMPLE = [
    ("InSaga", "a typo"),
    ("InCompensation", "an attribute that is not there"),
    ("InSideEffect", "chained"),
    ("InBodyOfTaskGroup", "in a group"),
    ("InAsyncHandler", "a wrong type"),
    ("InCondition", "a forbidden call"),
    ("BeforeContinuing", "a typo"),
    ("in a filter of a rule", "a typo"),
    ("choose of a graph", "a wrong type"),
]


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
@pytest.mark.parametrize(("place", "kind"), SAMPLE)
def test_the_repaired_program_ends_as_if_the_mistake_had_never_been_there(
    place: str, kind: str, store: str, request: pytest.FixtureRequest
) -> None:
    clock, other_clock = FakeClock(), FakeClock()
    with local_backend("memory", request, clock) as backend:
        without = play(PLACES[place], None, backend, clock)
    with local_backend(store, request, other_clock) as backend:
        repaired = play(PLACES[place], KINDS[kind], backend, other_clock)
        assert backend.check() == []

    assert repaired.parked
    assert repaired[:3] == without[:3]
