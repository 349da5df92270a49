"""Nothing that an exception of users' code is made of keeps it from being described and recorded."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from pyworkflow.activity import Activity, ActivityExecution, ActivityMonitor, AnyActivity, activity
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.codec import decode, encode
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.event import ActivityEvent, DecisionFailedEvent
from pyworkflow.failure import MAX_TEXT, describe, repr_of, storable, text_of
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import (
    ActivityCanceled,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)
from pyworkflow.task import ActivityTask
from pyworkflow.values import check_payload
from pyworkflow.worker import ActivityWorker, DecisionWorker
from pyworkflow.worker.execute import execute
from pyworkflow.workflow import Workflow


class NoText(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


class Explosive(Exception):
    def __str__(self) -> str:
        raise SystemExit("text")

    def __repr__(self) -> str:
        raise KeyboardInterrupt

    def __reduce__(self) -> Any:
        raise RuntimeError("pickled")


class Text(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError("length")

    def isascii(self) -> bool:
        raise RuntimeError("ascii")


class StrangeText(Exception):
    def __str__(self) -> str:
        return Text("strange")


class Endless(Exception):
    def __str__(self) -> str:
        return str(self)


class Meta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("name")


class Nameless(Exception, metaclass=Meta):
    pass


class BadNotes(Exception):
    __notes__ = 5  # type: ignore[assignment]


class BadArguments(Exception):
    args = property(lambda self: 1 / 0)


def cycle() -> Exception:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def group() -> Exception:
    inner: Exception = NoText()
    for depth in range(200):
        inner = ExceptionGroup(f"group {depth}", [inner, Explosive()])
    return inner


class StrangeGroup(ExceptionGroup):
    exceptions = property(lambda self: 1 / 0)


def syntax() -> Exception:
    error = SyntaxError("syntax")
    error.lineno = error.offset = error.text = error.filename = Explosive()  # type: ignore[assignment]
    return error


def chain() -> Exception:
    error: Exception = ValueError("first")
    for number in range(3000):
        following = ValueError(number)
        following.__context__ = error
        error = following
    return error


EVIL: dict[str, Callable[[], BaseException]] = {
    "no text": NoText,
    "everything raises": Explosive,
    "a strange text": StrangeText,
    "endless recursion": Endless,
    "no name": Nameless,
    "bad notes": BadNotes,
    "bad arguments": lambda: BadArguments(1),
    "a NUL and a lone surrogate": lambda: ValueError("a\0b\udce9"),
    "3 MB": lambda: ValueError("x" * 3_000_000),
    "3 million surrogates": lambda: ValueError("\udce9" * 3_000_000),
    "a cycle of causes": cycle,
    "a deep group": group,
    "a group of a strange class": lambda: StrangeGroup("strange", [ValueError("in it")]),
    "a syntax error of strange parts": syntax,
    "3000 contexts": chain,
    "a failure of a failure": lambda: ActivityFailed(NoText()),  # type: ignore[arg-type]
    "SystemExit": lambda: SystemExit(Explosive()),
}

cases = pytest.mark.parametrize("make", EVIL.values(), ids=EVIL.keys())


@cases
def test_every_exception_can_be_described_and_recorded(make: Callable[[], BaseException]) -> None:
    try:
        raise make()
    except BaseException as error:
        description = describe(error)

    for text in (*description, description.line[:MAX_TEXT]):
        assert type(text) is str
        assert text
        assert len(text) <= MAX_TEXT
        check_payload(text, "text")
        assert decode(encode(text)) == text


def test_a_description_says_what_the_exception_says() -> None:
    try:
        raise KeyError("amount")
    except KeyError as error:
        description = describe(error)

    assert description.reason == "'amount'"
    assert description.kind == "KeyError"
    assert description.line == "KeyError: 'amount'"
    assert "test_failure.py" in description.details
    assert describe(ValueError()).line == "ValueError"


def test_a_group_is_described_by_what_is_in_it() -> None:
    inner = ExceptionGroup("inner", [KeyError("amount"), ValueError("bad"), ValueError("bad")])
    description = describe(ExceptionGroup("outer", [inner, OSError("away")]))

    assert description[::2] == ("'amount'; bad; away", "KeyError, ValueError, OSError")
    assert "inner (3 sub-exceptions)" in description.details
    assert describe(ExceptionGroup("", [ValueError()])).line == "ValueError"


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = storable("begin" + "x" * 100_000 + "end")

    assert len(text) == MAX_TEXT
    assert text.startswith("begin")
    assert text.endswith("end")
    assert "characters" in text


def test_values_have_a_text_whatever_they_are() -> None:
    assert text_of(NoText()) == "<str() of NoText failed>"
    assert repr_of(Explosive()) == "<repr() of Explosive failed>"
    assert "\0" not in text_of("\0")


class Raises(Activity):
    make: Callable[[], BaseException]

    def execute(self) -> None:
        raise type(self).make()


class Fails(Workflow):
    activities: ClassVar[Sequence[AnyActivity]] = (Raises,)

    def decide(self, process: Process) -> Any:
        if len(process.history) == 2:
            return ScheduleActivity(Raises)
        return CompleteProcess()


def result_of(work: Callable[[Activity], Any]) -> ActivityResult:
    """Have an activity worker execute something, and return what was recorded."""

    class Works(Activity):
        name = "Raises"

        def execute(self) -> Any:
            return work(self)

    class FailsHere(Fails):
        activities = (Works,)

    manager = Manager(MemoryBackend(), workflows=[FailsHere])
    process_id = manager.start_process(Process(FailsHere))
    assert DecisionWorker(manager).step()
    assert ActivityWorker(manager).step()
    (ended,) = (e for e in manager.history(process_id) if isinstance(e, ActivityEvent))
    return ended.result


def raising(error: BaseException) -> ActivityResult:
    def work(_: Activity) -> None:
        raise error

    return result_of(work)


@cases
def test_every_exception_of_an_activity_is_recorded_as_its_failure(
    make: Callable[[], BaseException],
) -> None:
    result = raising(make())

    assert isinstance(result, ActivityFailed)
    assert result.reason


@cases
def test_every_exception_of_a_decider_is_recorded_as_its_failure(
    make: Callable[[], BaseException],
) -> None:
    class Bad(Workflow):
        def decide(self, process: Process) -> Any:
            raise make()

    manager = Manager(MemoryBackend(), workflows=[Bad])
    process_id = manager.start_process(Process(Bad))

    assert DecisionWorker(manager).step()

    (failed,) = (e for e in manager.history(process_id) if isinstance(e, DecisionFailedEvent))
    assert failed.reason


@pytest.mark.parametrize(
    "result",
    [
        ActivityFailed("why", {"more": [1]}, "Kind"),
        ActivityCanceled({"why": None}),
        ActivityTimedOut("heartbeat"),
    ],
    ids=lambda result: type(result).__name__,
)
def test_a_result_that_is_raised_is_the_result_that_is_returned(result: ActivityResult) -> None:
    assert isinstance(result, BaseException)

    assert raising(result) == result_of(lambda _: result) == result


# Made within the test: pytest itself may ask a parameter for its repr.
@pytest.mark.parametrize(
    "details", [object, lambda: {1, 2}, lambda: {3: Explosive()}, lambda: ["x" * 3_000_000]]
)
def test_details_that_are_not_json_are_recorded_as_text(details: Callable[[], Any]) -> None:
    result = raising(ActivityFailed("why", details()))

    assert isinstance(result, ActivityFailed)
    assert result.reason == "why"
    assert isinstance(result.details, str)


def test_a_subclass_of_a_result_that_cannot_be_read_is_a_failure() -> None:
    class Declined(ActivityFailed):
        details = property(lambda self: 1 / 0)

        def __init__(self) -> None:
            Exception.__init__(self, "declined")

    result = raising(Declined())

    assert isinstance(result, ActivityFailed)
    assert result.reason == "division by zero"


class Model:
    """As a pydantic model whose serializer fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def model_dump(self, *, mode: str) -> Any:
        raise self.error

    @classmethod
    def model_validate(cls, obj: object) -> Any:
        raise KeyError(obj)


@pytest.mark.parametrize(
    "value", [{1, 2}, b"bytes", Model(KeyError("field")), Model(NoText()), {NoText(): 1}]
)
def test_a_result_that_cannot_be_written_is_a_failure(value: Any) -> None:
    result = result_of(lambda _: value)

    assert isinstance(result, ActivityFailed)
    assert result.type_name == "PayloadError"


def test_an_input_whose_model_fails_to_read_it_is_a_failure() -> None:
    @activity
    def takes(value: Model) -> None:
        raise AssertionError(value)

    monitor = ActivityMonitor()
    manager = Manager(MemoryBackend(), activities=[takes])
    result = execute(manager, ActivityTask(ActivityExecution("takes", "1", {"a": 1})), monitor)

    assert isinstance(result, ActivityFailed)
    assert result.type_name == "PayloadError"


def test_a_deep_recursion_is_described_from_where_it_is_caught() -> None:
    def dive(depth: int) -> None:
        dive(depth + 1)

    limit = sys.getrecursionlimit()
    try:
        dive(0)
    except RecursionError as error:
        description = describe(error)

    assert description.kind == "RecursionError"
    assert sys.getrecursionlimit() == limit
