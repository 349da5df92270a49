"""A history of SWF as ours, as it grows: each event is read once, however long the history has become.

SWF records what comes while a decider thinks between the start of the decision and the decisions; ours has decisions right after the start of
the decision that made them. So events after a start are held back until the decision has ended. A decision that no decider was asked for
leaves no trace.
"""

from collections.abc import Iterable
from datetime import UTC
from datetime import datetime as DateTime
from typing import Any

from pyworkflow.event import AnyEvent, DecisionStartedEvent, DecisionTimedOutEvent, Event
from pyworkflow.history import History
from pyworkflow.process import Process
from pyworkflow.swf.happened import READERS, Told
from pyworkflow.swf.misrouted import times_of
from pyworkflow.swf.payload import CountingPayloads, Payloads, recorded
from pyworkflow.swf.state import State
from pyworkflow.swf.words import FAILED, QUIET, REST, attributes_key

Raw = dict[str, Any]

EVENT_BYTES = 500
"""About what an event takes beside its payload."""


class MissingEventError(Exception):
    """Events do not go on where the last ones ended."""

    def __str__(self) -> str:
        return f"event {self.args[0]} is missing"


class Reader:
    """Reads the events of one execution, oldest first.

    Args:
        payloads: How texts become values.
    """

    def __init__(self, payloads: Payloads) -> None:
        self.state = State()
        self.last_id = 0
        self._payloads = CountingPayloads(payloads)
        self._history = History()
        self._new: list[Event] = []
        self._counted = 0
        self._shown: History | None = None
        self._start: DecisionStartedEvent | None = None
        self._start_id = 0
        self._start_at: DateTime | None = None
        self._held: list[Event] = []
        self._deciding = 0
        self._scheduled: dict[int, DateTime | None] = {}

    @property
    def size(self) -> int:
        """About how many bytes the reader keeps."""
        return EVENT_BYTES * self.last_id + self._payloads.characters

    def read(self, events: Iterable[Raw]) -> None:
        """Go on with the next events.

        Raises:
            MissingEventError: One of them is missing.
        """
        for raw in events:
            if raw["eventId"] <= self.last_id:
                continue
            if raw["eventId"] != self.last_id + 1:
                raise MissingEventError(self.last_id + 1)
            self.last_id = raw["eventId"]
            self._read(raw)

    def _read(self, raw: Raw) -> None:
        kind, at = raw["eventType"], raw.get("eventTimestamp")
        if at is not None:
            at = at.astimezone(UTC)
        attributes = raw.get(attributes_key(kind, "Event"), {})
        if kind == "DecisionTaskScheduled":
            self._scheduled[raw["eventId"]] = at
        elif kind == "DecisionTaskStarted":
            self._scheduled.pop(attributes.get("scheduledEventId", 0), None)
            self._flush()
            identity = attributes.get("identity")
            self._start = DecisionStartedEvent(identity=identity, datetime=at)
            self._start_id = raw["eventId"]
            self._start_at = at
        elif kind == "DecisionTaskCompleted":
            self._decided(raw["eventId"], attributes)
        elif kind == "DecisionTaskTimedOut":
            self._timed_out(attributes, at)
        elif kind in READERS:
            if self._held and self._is_decided(attributes):
                # It moves ahead of what came in between; times never run backwards.
                at = self._start_at
            told = Told(raw["eventId"], at, attributes, self.state, self._payloads)
            self._add(READERS[kind](told), attributes)

    def _add(self, read: list[Event], attributes: Raw) -> None:
        events: list[Event] = recorded(read, list[AnyEvent])
        if self._is_decided(attributes):
            self._new.extend(events)
            return
        self._flush()
        (self._held if self._start is not None else self._new).extend(events)

    def _is_decided(self, attributes: Raw) -> bool:
        """Whether an event belongs to the decision that has just been completed."""
        made_by = attributes.get("decisionTaskCompletedEventId")
        return bool(self._deciding) and made_by == self._deciding

    def _flush(self) -> None:
        """Let go of what was held back, unless a decision is still under way."""
        if self._deciding:
            self._deciding = 0
            self._new.extend(self._held)
            self._held = []

    def _decided(self, event_id: int, attributes: Raw) -> None:
        self._flush()
        context = attributes.get("executionContext")
        self.state.misrouted = times_of(context)
        if self.state.misrouted:
            context = QUIET
        if self._start is not None and context not in (QUIET, REST):
            self._new.append(self._start)
        if context == REST:
            self.state.rest = []
        if context not in (QUIET, REST, FAILED):
            self.state.failures = 0
        self._start = None
        self._deciding = event_id

    def _timed_out(self, attributes: Raw, at: Any) -> None:
        self._flush()
        if self._start is None or attributes.get("startedEventId") != self._start_id:
            return
        self._new.append(self._start)
        self._new.extend(self._held)
        self._new.append(DecisionTimedOutEvent(datetime=at))
        self._start, self._held = None, []
        self.state.failures += 1

    def history(self) -> History:
        """Return the history as it is now."""
        self._settle()
        if self._start is None:
            return self._history.extended(self._held) if self._held else self._history
        self._shown = self._history.extended([self._start])
        return self._shown.extended(self._held) if self._held else self._shown

    def _settle(self) -> None:
        new = self._new
        if not new:
            return
        shown, self._shown = self._shown, None
        if shown is not None and new[0] is shown[-1]:
            # What a decider was shown has come to be: go on with the same list.
            self._history, new = shown, new[1:]
        characters = self._payloads.characters
        self._history = self._history.extended(new, characters - self._counted)
        self._new, self._counted = [], characters

    def process(self, process_id: str) -> Process:
        """Return the process as it is now."""
        s = self.state
        return Process(
            workflow=s.workflow,
            id=process_id,
            input=recorded(s.input, Any),
            tags=s.tags,
            history=self.history(),
            parent=s.parent,
            run=s.run,
            status=s.status,
            result=s.result,
            started=s.started,
            closed=s.closed,
            parked=s.parked if s.closed is None else None,
            category=s.category,
            timeout=s.timeout,
        )

    @property
    def started(self) -> DecisionStartedEvent | None:
        """The start of the decision that is under way, if one is."""
        return self._start

    @property
    def is_scheduled(self) -> bool:
        """Whether a decision task waits for a worker."""
        return bool(self._scheduled)

    @property
    def scheduled_since(self) -> DateTime | None:
        """Since when a decision task waits for a worker."""
        return next(iter(self._scheduled.values()), None)

    def wants_decider(self) -> bool:
        """Whether the decision task, once it has started, has something that a decider has not seen, and nothing holds it back."""
        s = self.state
        if s.parked is not None or s.delayed_by is not None or s.rest:
            return False
        history = self.history()
        if self._start is None:
            # What is unseen is what a decision that starts now would be shown.
            history = history.extended([DecisionStartedEvent()])
        return any(event.wakes for event in history.unseen())
