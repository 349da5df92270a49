"""Retry: what is refused where it is made, and what is taken."""

from typing import Any

import pytest

from pyworkflow.activity import Activity, activity
from pyworkflow.codec import decode, encode
from pyworkflow.decision import ScheduleActivity
from pyworkflow.errors import InvalidRequestError
from pyworkflow.retry import Retry


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_attempts", 2.5),
        ("max_attempts", True),
        ("max_attempts", 10**30),
        ("max_attempts", 0),
        ("initial", "1"),
        ("initial", None),
        ("backoff", float("nan")),
        ("backoff", float("inf")),
        ("maximum", -1),
        ("jitter", 1.1),
        ("jitter", -0.1),
        ("jitter", float("nan")),
        ("jitter", "full"),
        ("non_retryable", "ValueError"),
        ("non_retryable", [ValueError]),
        ("non_retryable", ("a\0",)),
        ("non_retryable", None),
    ],
)
def test_a_retry_that_could_not_be_read_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        Retry(**{field: value})


def test_a_list_of_names_is_the_same_as_a_tuple() -> None:
    names: Any = ["ValueError", "card refused"]

    assert Retry(non_retryable=names) == Retry(non_retryable=("ValueError", "card refused"))


def test_a_retry_survives_as_json() -> None:
    retry = Retry(5, initial=0, maximum=7, non_retryable=("é",), jitter=0.5)

    assert decode(encode(retry), Retry) == retry


def test_jitter_spreads_the_delays_of_what_failed_together() -> None:
    retry = Retry(initial=8, maximum=10, jitter=0.5)

    for attempt, longest in ((1, 8), (2, 10), (99, 10)):
        delays = [retry.delay(attempt, f"order-{number}") for number in range(1000)]
        tenths = {int((delay / longest - 0.5) * 20) for delay in delays}
        assert all(longest / 2 <= delay <= longest for delay in delays)
        assert tenths >= set(range(10))


def test_the_delay_of_one_attempt_is_always_the_same() -> None:
    retry = Retry(jitter=1)

    assert retry.delay(1, "\ud800") == Retry(jitter=1).delay(1, "\ud800") > 0
    assert retry.delay(1, "a") / 1 != retry.delay(2, "a") / 2
    assert [Retry().delay(1, key) for key in "ab"] == [1, 1]


@pytest.mark.parametrize("retry", [3, "Retry(3)", {"max_attempts": 3}, Retry])
def test_anything_else_than_a_retry_is_refused_where_it_is_said(retry: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"retry .* did you mean Retry\(3\)"):
        activity(retry=retry)(print)
    with pytest.raises(InvalidRequestError, match="retry"):
        type("Charge", (Activity,), {"retry": retry})
    with pytest.raises(InvalidRequestError, match="retry"):
        ScheduleActivity("charge", retry=retry)


def test_a_misspelt_setting_of_an_activity_is_refused() -> None:
    misspelt: Any = {"retries": 3}

    with pytest.raises(TypeError, match="no setting retries"):
        activity(**misspelt)(print)
