"""What replayed code has asked for: the decisions that come of it, and who waits for its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from pyworkflow.decision import Decision, Timer
from pyworkflow.mistakes import MISTAKES
from pyworkflow.replay.commands import Commands, Key
from pyworkflow.replay.compare import Identity, identity_of
from pyworkflow.replay.forbidden import forbid
from pyworkflow.replay.loop import Condition, DeterministicLoop
from pyworkflow.replay.mailbox import Mailbox, Refuse
from pyworkflow.replay.operation import NumberedFuture, Operation
from pyworkflow.replay.places import place
from pyworkflow.result import ActivityResult
from pyworkflow.values import check_name, check_seconds

T = TypeVar("T")

_scopes: ContextVar[tuple[list[Operation[Any]], ...]] = ContextVar("pyworkflow_scopes", default=())
"""Where the activities are noted that the present code begins: one list for each saga that it is in."""


class scope:
    """Notes the activities that the code of a block begins, in whatever task of it, for as long as the block lasts."""

    def __init__(self) -> None:
        self.operations: list[Operation[Any]] = []

    def __enter__(self) -> Self:
        self._token = _scopes.set((*_scopes.get(), self.operations))
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):  # another task leaves the block than has entered it
            _scopes.reset(self._token)


class Requests:
    """What the code of one process has asked for.

    Args:
        refuse: Reports a signal that is ignored.
        mistakes: The exceptions that are mistakes in the code.

    Attributes:
        loop: The loop that the code runs on.
        commands: What it has decided since the last decision.
        answers: Whether the method of a query runs: it may ask for nothing.
    """

    def __init__(
        self, refuse: Refuse, mistakes: tuple[type[BaseException], ...] = MISTAKES
    ) -> None:
        self._mailbox = Mailbox(refuse)
        # The rest of a loop's methods is added to the class by name.
        self.loop = DeterministicLoop(self, mistakes)  # type: ignore[abstract]
        self.commands = Commands()
        self.answers = False
        self._places: list[str] = []
        self._uncompared: set[Identity] = set()
        self._operations: dict[Key, Operation[Any]] = {}
        self._running: dict[str, Operation[Any]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._timer_ids: dict[int, str] = {}

    def begin(
        self,
        kind: str,
        id: str,
        decision: Decision,
        convert: Callable[[Any], T] | None,
        *,
        compare: bool = True,
        on_cancel: str | None = None,
    ) -> Operation[T]:
        """Decide something that will end, and return what to await.

        Args:
            kind: What it is.
            id: Its id.
            decision: What begins it.
            convert: Converts its result.
            compare: Whether another payload than the history holds is a mismatch.
            on_cancel: What canceling it means, one of `OnCancel`.
        """
        self.listen()
        if (kind, id) in self._operations:
            raise ValueError(f"{kind} {id!r} is open already")
        operation: Operation[T] = self._operation(kind, id, convert)
        self._operations[kind, id] = operation
        if kind == "activity":
            operation.on_cancel = on_cancel
            self._running[id] = operation
            for scope in _scopes.get():
                scope.append(operation)
        self._note()
        if not compare:
            self._uncompared.add(identity_of(decision))
        self.commands.open(kind, id, decision)
        return operation

    def _operation(self, kind: str, id: str, convert: Callable[[Any], T] | None) -> Operation[T]:
        return Operation(self.loop.number(), self.loop, kind, id, self._withdraw, convert)

    def _withdraw(self, operation: Operation[Any]) -> None:
        if self.loop.over:
            return
        self.loop.check_handled()
        if operation.kind == "signal":
            return
        self._operations.pop((operation.kind, operation.id), None)
        if self.commands.cancel(operation.kind, operation.id) and operation.kind == "activity":
            self._concluded(operation.id, None)

    def decide(self, decision: Decision) -> None:
        """Decide something that nobody awaits."""
        self.listen()
        self._note()
        self.commands.add(decision)

    def wait_for_signal(self, name: str, convert: Callable[[Any], T] | None) -> Operation[T]:
        """Return what ends with the next signal of a name."""
        self.listen()
        operation: Operation[T] = self._operation(
            "signal", check_name(name, "signal name"), convert
        )
        self._mailbox.ask(name, operation)
        return operation

    async def wait_until(self, holds: Callable[[], object]) -> None:
        """Return as soon as a predicate holds."""
        self.listen()
        try:
            if holds():
                return
        except Exception as error:
            self.loop.refuse_mistake(error)
            raise
        waiter: NumberedFuture[None] = NumberedFuture(self.loop.number(), self.loop)
        self.loop.until(Condition(holds, waiter))
        await waiter

    def start_timer(self, handle: asyncio.TimerHandle, delay: float) -> None:
        """Have a handle run after some seconds."""
        self.loop.check_handled()
        delay = float(check_seconds(delay, "delay"))
        timer_id = self.commands.next_id("timer")
        self._timers[timer_id] = handle
        self._timer_ids[id(handle)] = timer_id
        self._note()
        self.commands.open("timer", timer_id, Timer(delay, None, timer_id))

    def cancel_timer(self, handle: asyncio.TimerHandle) -> None:
        """Have a handle never run."""
        timer_id = self._timer_ids.pop(id(handle), None)
        if timer_id is not None:
            del self._timers[timer_id]
            self.commands.cancel("timer", timer_id)

    def listen(self) -> None:
        """Refuse what the code asks for if the run is over, or if the code handles a mistake.

        Raises:
            Dropped: It is over, or abandoned.
        """
        self.loop.listen()
        if self.answers:
            forbid("a query that asks for something", "a query only reads: return what is known")

    def _note(self) -> None:
        self._places.append(place())

    def open(self) -> list[str]:
        """Return what has been asked for and has not ended, for people."""
        operations = [f"{kind} {id}" for kind, id in self._operations]
        timers = [f"timer {id}" for id in self._timers]
        return operations + timers + [f"signal {name}" for name in self._mailbox.wanted()]

    # -- what becomes of it ----------------------------------------------------------------------------------------------------------

    def _concluded(self, id: str, result: ActivityResult | None) -> None:
        operation = self._running.pop(id, None)
        if operation is not None:
            operation.conclude(result)

    def _ended(self, kind: str, id: str) -> Operation[Any] | None:
        self.commands.ended(kind, id)
        return self._operations.pop((kind, id), None)

    def _fire(self, timer_id: str) -> None:
        self.commands.ended("timer", timer_id)
        handle = self._timers.pop(timer_id, None)
        if handle is not None:
            self._timer_ids.pop(id(handle), None)
            self.loop.fire(handle)
