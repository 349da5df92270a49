"""The model: values, their JSON form, their limits."""

import copy
import inspect
import pickle
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyworkflow import codec, decision, errors, event
from pyworkflow.activity import ActivityExecution, activity
from pyworkflow.decision import AnyDecision, ScheduleActivity, StartChildProcess, Timer
from pyworkflow.errors import InvalidRequestError, PayloadError, PyworkflowError
from pyworkflow.event import (
    AnyEvent,
    DecisionEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
)
from pyworkflow.history import History
from pyworkflow.process import Process
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
    AnyProcessResult,
)
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import check_payload

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
results = st.one_of(
    st.builds(ActivityCompleted, json_values),
    st.builds(ActivityCanceled, json_values),
    st.builds(ActivityFailed, st.none() | texts, json_values, st.none() | texts),
    st.builds(ActivityTimedOut, json_values),
)
signals = st.builds(Signal, texts, json_values, st.none() | texts)
new_processes = st.builds(decision.NewProcess, texts, texts, json_values, st.tuples(texts))
retries = st.builds(
    Retry, st.integers(1, 9), st.floats(0, 9), st.floats(1, 9), st.floats(0, 9), st.tuples(texts)
)

st.register_type_strategy(ActivityResult, results)
st.register_type_strategy(Signal, signals)
st.register_type_strategy(Retry, retries)


def of(cls: type) -> st.SearchStrategy[Any]:
    """Return a strategy for a struct: its fields by name, those without a default always given."""
    known: dict[str, st.SearchStrategy[Any]] = {
        "delay": st.floats(0, 100),
        "process": new_processes,
        "signal": signals,
        "retry": st.none() | retries,
        "result": results
        if issubclass(cls, event.ActivityEvent | event.ActivityAttemptEvent)
        else json_values,
        "activity_execution": st.builds(ActivityExecution, texts, texts, json_values),
        "decision": st.builds(Timer, st.floats(0, 100), json_values),
        "timer": st.builds(Timer, st.floats(0, 100), json_values),
        "tags": st.tuples(texts),
        "signals": st.lists(st.builds(Signal, texts, json_values), max_size=2).map(tuple),
        "attempt": st.integers(1, 9),
        "timeout": st.floats(1, 9),
        "datetime": st.none() | st.datetimes(timezones=st.timezones()),
    }
    if cls is event.ChildProcessEvent:
        known["result"] = st.one_of(*(of(kind) for kind in get_args(AnyProcessResult)))
    if issubclass(cls, AnyProcessResult):
        known["run"] = st.integers(1, 9)
    values = {}
    for name in inspect.signature(cls).parameters:
        optional = {
            "category",
            "reason",
            "workflow",
            "scheduled_timeout",
            "execution_timeout",
            "heartbeat_timeout",
        }
        payload = {"input", "data", "details"}
        if name in known:
            values[name] = known[name]
        elif name in payload:
            values[name] = json_values
        elif name in optional:
            values[name] = st.none() if name.endswith("timeout") else texts
        else:
            values[name] = texts
    return st.builds(cls, **values)


@pytest.mark.parametrize(
    "cls", [*get_args(AnyDecision), *get_args(AnyEvent), *get_args(AnyProcessResult)]
)
@given(data=st.data())
def test_a_value_is_the_same_after_json(cls: type, data: st.DataObject) -> None:
    value = data.draw(of(cls))
    family = next(u for u in (AnyDecision, AnyEvent, AnyProcessResult) if cls in get_args(u))

    back: Any = codec.decode(codec.encode(value), family)

    assert back == value
    assert type(back) is cls


@given(results)
def test_a_result_is_the_same_after_json_and_pickle(result: ActivityResult) -> None:
    assert codec.decode(codec.encode(result), ActivityResult) == result
    assert pickle.loads(pickle.dumps(result)) == copy.copy(result) == result


def test_tasks_are_the_same_after_json() -> None:
    process = Process("w", "p", [0], ["t"], [ProcessStartedEvent(), DecisionStartedEvent()])
    tasks = [
        DecisionTask(process, {"token": "x"}),
        ActivityTask(ActivityExecution("a", "1", 0), "p"),
    ]

    for task in tasks:
        assert codec.decode(codec.encode(task), DecisionTask | ActivityTask) == task


@pytest.mark.parametrize(
    "cls",
    [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, PyworkflowError)],
)
def test_every_error_pickles_and_copies(cls: type[PyworkflowError]) -> None:
    own = cls.__init__ is not Exception.__init__
    error = cls("x", "y") if own else cls("x")

    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is cls
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@given(json_values)
def test_what_is_accepted_comes_back_equal(value: Any) -> None:
    assert codec.decode(check_payload(value, "value")) == value


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"type":"unheard_of"}', b"[" * 100_000])
def test_what_cannot_be_read_is_a_payload_error(data: bytes) -> None:
    with pytest.raises(PayloadError):
        codec.decode(data, AnyEvent)


def test_values_are_immutable() -> None:
    values: list[Any] = [
        Timer(1),
        Signal("x"),
        ProcessStartedEvent(),
        Process("w"),
        ActivityFailed("x"),
    ]

    for value in values:
        name = "reason" if isinstance(value, ActivityFailed) else value.__struct_fields__[0]
        with pytest.raises(AttributeError):
            setattr(value, name, 1)


def test_two_equal_timers_and_children_have_ids_of_their_own() -> None:
    assert Timer(5) != Timer(5)
    assert StartChildProcess(Process("w")) != StartChildProcess(Process("w"))


def test_a_decorated_function_is_an_activity_and_still_a_function() -> None:
    @activity(category="math")
    def multiply(a: int, b: int) -> int:
        return a * b

    task = ActivityTask(ActivityExecution("multiply", "1", {"a": 3, "b": 4}))

    assert multiply(2, 3) == 6
    assert ScheduleActivity(multiply).activity == "multiply"
    assert multiply.bind(task).execute() == 12
    with pytest.raises(PayloadError):
        multiply.bind(ActivityTask(ActivityExecution("multiply", "1", ["x", 1])))


@given(
    st.lists(
        st.sampled_from([DecisionStartedEvent(), SignalEvent(Signal("x")), ProcessStartedEvent()]),
        max_size=20,
    ),
    st.integers(0, 20),
)
def test_a_history_that_grows_answers_as_one_that_is_whole(events: list[Event], cut: int) -> None:
    grown = History(events[:cut])
    early = grown.unseen()
    later = grown.extended(events[cut:])

    assert later == History(events)
    assert later.unseen() == History(events).unseen()
    assert grown.unseen() == early
    assert later.prefix(cut) == events[:cut]


@pytest.mark.parametrize("wrong", [{"max_attempts": 0}, {"backoff": 0.5}, {"initial": -1}])
def test_a_retry_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        Retry(**wrong)


def test_retries_wait_longer_each_time_up_to_a_limit() -> None:
    retry = Retry(max_attempts=9, initial=1, backoff=10, maximum=500)

    assert [retry.delay(n) for n in (1, 2, 3, 4, 9999)] == [1, 10, 100, 500, 500]
    assert [Retry(backoff=1e200, initial=n).delay(3) for n in (0, 1)] == [0, 60]


def test_the_text_of_a_failure_is_its_reason_without_the_traceback() -> None:
    assert str(ActivityFailed("no stock", "Traceback ...")) == "no stock"
    assert str(ActivityCanceled("enough")) == "enough"
    assert str(ActivityTimedOut()) == ""


def test_a_process_tells_what_has_happened_and_what_was_decided() -> None:
    happened, decided = SignalEvent(Signal("paid", 1)), Timer(60, id="t")
    history = [ProcessStartedEvent(), happened, DecisionStartedEvent(), DecisionEvent(decided)]
    process = Process("Order", history=history)

    assert process.has_event(SignalEvent(Signal("paid", 1)))
    assert not process.has_event(SignalEvent(Signal("paid", 2)))
    assert process.has_decision(Timer(60, id="t"))
    assert not process.has_decision(Timer(60, id="u"))
