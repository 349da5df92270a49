"""Runs that are taken in turns."""

import pytest

from benchmarks.measure import QUANTITIES, Contestant, Missing, Result, Values, gain, in_turns


def test_contestants_are_measured_in_turns() -> None:
    order: list[str] = []

    def contestant(name: str) -> Contestant:
        def run() -> Values:
            order.append(name)
            return {"rate": float(len(order))}

        return Contestant(name, "memory", run)

    results, missing = in_turns([contestant("a"), contestant("b")], 3)

    assert order == ["a", "b"] * 3
    assert [(result.system, result.runs) for result in results] == [
        ("a", [1, 3, 5]),
        ("b", [2, 4, 6]),
    ]
    assert [result.value for result in results] == [3, 4]
    assert not missing


def test_one_that_fails_is_named_and_asked_no_more() -> None:
    calls: list[int] = []

    def run() -> Values:
        calls.append(1)
        if len(calls) == 2:
            raise LookupError("gone")
        return {"rate": 1.0}

    results, missing = in_turns([Contestant("a", "disk", run)], 3, may_fail=(LookupError,))

    assert len(calls) == 2
    # A median of fewer runs than the others' would not be comparable.
    assert not results
    assert missing == [Missing("a", "disk", "gone")]


def test_an_error_that_is_not_expected_ends_the_run() -> None:
    def run() -> Values:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_turns([Contestant("a", "disk", run)], 3, may_fail=(LookupError,))


def test_a_gain_above_one_means_that_ours_is_better() -> None:
    assert QUANTITIES["rate"].gain(200, 100) == 2
    assert QUANTITIES["median"].gain(1, 4) == 4


def test_a_gain_is_the_median_over_the_turns() -> None:
    ours = Result("a", "disk", "rate", [100, 10, 1])

    # The machine became slower from turn to turn, for both alike.
    assert gain(ours, Result("b", "disk", "rate", [50, 5, 0.25])) == 2
    # Without turns to pair there are the medians only.
    assert gain(ours, Result("b", "disk", "rate", [5])) == 2
