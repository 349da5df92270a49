"""A mistake in the code changes nothing, wherever it is made: the repaired program ends as if it had never been there."""

import pytest

from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.testing.clock import FakeClock
from tests.mistake_programs import KINDS, OTHERS, REPLAYED, play

PLACES = REPLAYED | OTHERS

ALLOWED = {("a forbidden call", place) for place in ("InSideEffect", "InConstructor", *OTHERS)}
ALLOWED |= {("a wrong type", "in a filter of a rule")}
"""What is no mistake somewhere: a filter may meet values of any type, and not all code is replayed."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_the_repaired_program_ends_as_if_the_mistake_had_never_been_there(
    place: str, kind: str
) -> None:
    if (kind, place) in ALLOWED:
        pytest.skip("is no mistake there")
    program = PLACES[place]
    clock, other_clock = FakeClock(), FakeClock()

    without = play(program, None, MemoryBackend(clock), clock)
    repaired = play(program, KINDS[kind], MemoryBackend(other_clock), other_clock)

    assert not without.parked
    assert repaired.parked
    assert repaired[:3] == without[:3]
