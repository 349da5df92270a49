"""Tasks: handing them out, and what becomes of them, for all backends that keep their own state."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend import requests
from pyworkflow.backend.base import Completion, FailedDecision, FeedEntry, Poll, Turn
from pyworkflow.backend.completions import completion
from pyworkflow.backend.group import Rider
from pyworkflow.backend.histories import HistoryCache
from pyworkflow.backend.reading import open_process
from pyworkflow.backend.touches import Planned, Touches
from pyworkflow.backend.transactions import Transactions, nap
from pyworkflow.backend.unit import StoredUnit, Work
from pyworkflow.backoff import Backoff
from pyworkflow.clock import Clock, to_datetime
from pyworkflow.codec import Json, fixed
from pyworkflow.decision import Decision
from pyworkflow.errors import BackendUnavailableError, PayloadError, PyworkflowError
from pyworkflow.event import ActivityEvent, DecisionStartedEvent, Event
from pyworkflow.history import History
from pyworkflow.ledger import claims
from pyworkflow.ledger.claims import ActivityClaim, Claimed, DecisionClaim
from pyworkflow.ledger.unit import Names
from pyworkflow.result import ActivityCompleted, ActivityResult
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import MAX_NAME, check_payload, check_text

CONTENDED_SECONDS = 0.02
"""Longest pause before looking again at work that other transactions have under their locks."""
log = logging.getLogger("pyworkflow.backend")

POLLER_SECONDS = 60
"""Somebody who has polled a queue within these seconds counts as polling it."""


class Turns(Transactions):
    """The part of a backend that deals with tasks."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._polled: dict[tuple[str, str, str], tuple[float, Names]] = {}

    def _begin(self) -> None:
        super()._begin()
        self._histories = HistoryCache()

    def turn(
        self,
        completions: Sequence[Completion] = (),
        polls: Sequence[Poll] = (),
        wait: float = 0,
        stop: Callable[[], bool] | None = None,
    ) -> Turn:
        """Complete some tasks and ask for others, together."""
        self._alive()
        errors: list[PyworkflowError | None] = [None] * len(completions)
        works: list[Work] = []
        places: list[int] = []
        for place, done in enumerate(completions):
            try:
                works.append(completion(done))
                places.append(place)
            except PyworkflowError as error:
                errors[place] = error
        works.extend(self._sightings(polls))
        claiming = requests.claiming(polls)
        results = self._write([*works, claiming]) if works else []
        for place, result in zip(places, results, strict=False):
            errors[place] = result if isinstance(result, PyworkflowError) else None
        claimed = _claims(results[-1]) if results else Claimed()
        if polls and not claimed and not completions:
            claimed = self._claimed(polls, claiming, time.monotonic() + wait, stop)
        return Turn(errors, self._tasks(claimed), claimed.suspects)

    def _claimed(
        self,
        polls: Sequence[Poll],
        claiming: Work,
        end: float,
        stop: Callable[[], bool] | None,
    ) -> Claimed:
        """Return what polls have claimed, as soon as that is something.

        An idle poll costs a look, not a transaction. Then it rides along with the commits of this backend object: what they make ready
        is claimed by the same transaction.
        """
        contended = Backoff(0.001, CONTENDED_SECONDS)
        fruitless = False
        while not (stop is not None and stop()):
            self._alive()
            ready, unavailable, due_in = False, None, 0
            rider = Rider([claiming])
            try:
                with self._group.riding(rider):
                    try:
                        ready, due_in = self._ready(polls)
                    except BackendUnavailableError as error:
                        unavailable = error
                    left = 0 if unavailable else end - time.monotonic()
                    if ready and fruitless:
                        # Work is there, and other transactions have it under their locks.
                        rider.sleep(contended.pause())
                    elif not ready and left > 0 and not (stop is not None and stop()):
                        self._prepare_to_wait()
                        rider.sleep(nap(left, due_in))
            except BaseException:
                self._give_back(rider.results)
                raise
            if any(rider.results):
                # Even where the store has failed since: it must not wait for the end of its lease.
                return _claims(rider.results[0])
            if unavailable is not None:
                raise unavailable
            if ready and (claimed := _claims(self._write([claiming])[0])):
                return claimed
            if left <= 0:
                # What is ready may be in other transactions' hands.
                break
            fruitless = ready
            if not ready:
                contended.succeed()
        return Claimed()

    def _ready(self, polls: Sequence[Poll]) -> tuple[bool, int]:
        """Tell whether there are tasks for some polls; and in how many microseconds something is due."""
        return self._read_and_deadline(lambda unit: _some_ready(unit, polls))

    def _committed(self, unit: StoredUnit, entries: Callable[[], list[FeedEntry]]) -> None:
        self._histories.wrote(unit.staged)
        super()._committed(unit, entries)

    def _sightings(self, polls: Sequence[Poll]) -> list[Work]:
        """Let people know who polls what, but seldom: it costs a commit."""
        works: list[Work] = []
        now = time.monotonic()
        for poll in polls:
            kind = "decision" if poll.kind is DecisionTask else "activity"
            key = (
                kind,
                poll.category,
                check_text(poll.identity, "identity", MAX_NAME) or "anonymous",
            )
            names = requests.poll_names(poll)
            recorded, before = self._polled.get(key, (-POLLER_SECONDS, None))
            if now - recorded > POLLER_SECONDS / 3 or names != before:
                self._polled[key] = now, names
                works.append(partial(_saw, key, names))
        return works

    def _tasks(self, claimed: Claimed) -> list[ActivityTask | DecisionTask]:
        try:
            return self._handed_out(claimed)
        except BaseException:
            self._give_back([claimed])
            raise

    def _give_back(self, results: Sequence[Any]) -> None:
        """Let others have at once what has been claimed and cannot be handed out."""
        claimed = (result for result in results if not isinstance(result, PyworkflowError))
        if works := [requests.give_back(claim) for each in claimed for claim in each.claims]:
            # Otherwise they have it when its lease ends.
            with suppress(PyworkflowError):
                self._write(works)

    def _handed_out(self, claimed: Claimed) -> list[ActivityTask | DecisionTask]:
        tasks: list[ActivityTask | DecisionTask] = []
        decided: list[DecisionClaim] = []
        for claim in claimed.claims:
            if isinstance(claim, ActivityClaim):
                tasks.append(requests.activity_task(claim))
            else:
                decided.append(claim)
        if decided:
            tasks.extend(self._decision_tasks(decided))
        return tasks

    def _decision_tasks(self, claims: list[DecisionClaim]) -> list[DecisionTask]:
        known: dict[int, tuple[History, bytes] | PayloadError | None] = {
            claim.process.key: self._histories.known(claim.process.key, claim.started_seq)
            for claim in claims
        }
        missing = [claim for claim in claims if known[claim.process.key] is None]
        if missing:
            read = self._snapshot(partial(self._missing, missing))
            known.update((c.process.key, found) for c, found in zip(missing, read, strict=True))
        tasks: list[DecisionTask] = []
        parked: list[Work] = []
        for claim in claims:
            try:
                tasks.append(self._decision_task(claim, known[claim.process.key]))
            except PayloadError as error:
                self._histories.forget(claim.process.key)
                log.error("process %r is parked: it cannot be read: %s", claim.process.id, error)
                parked.append(requests.park(claim, f"it cannot be read: {error}"))
        if parked:
            self._write(parked)
        return tasks

    def _decision_task(
        self, claim: DecisionClaim, known: tuple[History, bytes] | PayloadError | None
    ) -> DecisionTask:
        if isinstance(known, PayloadError):
            raise known
        assert known is not None  # noqa: S101 - what was not known has been read
        process = open_process(claim.process, *known)
        self._histories.shown(claim.process.key, process)
        return requests.decision_task(claim, process)

    def _missing(
        self, claims: list[DecisionClaim], unit: StoredUnit
    ) -> list[tuple[History, bytes] | PayloadError]:
        keys = [claim.process.key for claim in claims]
        unit.expect_histories([(key, self._histories.have(key)) for key in keys])
        return [self._history(claim, unit) for claim in claims]

    def _history(
        self, claim: DecisionClaim, unit: StoredUnit
    ) -> tuple[History, bytes] | PayloadError:
        try:
            return self._histories.upto(unit, claim.process, claim.started_seq)
        except PayloadError as error:
            return error

    def foresee(
        self, task: ActivityTask, result: ActivityResult, identity: str | None = None
    ) -> DecisionTask | None:
        """Return the decision that a result will call for."""
        now, key = self._moment(), task.context.get("key")
        if now is None or key is None or not isinstance(result, ActivityCompleted):
            return None
        if task.context.get("alone"):
            # Its decider may be what the worker was lost by, and must not be taken for the activity.
            return None
        moment = to_datetime(now)

        def happens(execution: ActivityExecution) -> list[Event]:
            return [
                ActivityEvent(execution, fixed(result), datetime=moment),
                DecisionStartedEvent(identity=identity, datetime=moment),
            ]

        try:
            process = self._histories.foresee(key, task.activity_execution.id, happens)
        except PayloadError:
            return None
        return None if process is None else DecisionTask(process, {"key": key})

    def heartbeat_activity_task(self, task: ActivityTask, details: Json = None) -> bool:
        """Record a sign of life."""
        number, token = requests.activity_lease(task)
        data = None if details is None else check_payload(details, "heartbeat details")
        name = task.activity_execution.id
        beat: bool = self._do(
            Planned(
                lambda unit: claims.heartbeat(unit, number, token, name, data),
                Touches(numbers=(number,)),
            )
        )
        return beat

    def complete_decision_task(
        self, task: DecisionTask, decisions: Decision | Iterable[Decision]
    ) -> None:
        """Record the decisions of a task."""
        listed = [decisions] if isinstance(decisions, Decision) else list(decisions)
        self._do(completion(Completion(task, listed)))

    def complete_activity_task(self, task: ActivityTask, result: ActivityResult) -> None:
        """Record the result of an activity."""
        self._do(completion(Completion(task, result)))

    def fail_decision_task(self, task: DecisionTask, reason: str, details: Json = None) -> None:
        """Tell that a decider failed."""
        self._do(completion(Completion(task, FailedDecision(reason, details))))

    def extend_leases(
        self, tasks: Sequence[ActivityTask | DecisionTask], lease: float | None
    ) -> list[bool]:
        """Keep tasks for longer."""
        if not tasks:
            return []
        works: list[Work] = [requests.extension(task, lease) for task in tasks]
        return [result is True for result in self._write(works)]

    def release_tasks(
        self, tasks: Sequence[ActivityTask | DecisionTask], *, unseen: bool = False
    ) -> None:
        """Give tasks back."""
        if tasks:
            self._write([requests.release(task, unseen=unseen) for task in tasks])


def _saw(seen: tuple[str, str, str], names: Names, unit: StoredUnit) -> None:
    unit.saw(*seen, names)


def _claims(result: Any) -> Claimed:
    if isinstance(result, PyworkflowError):
        raise result
    claimed: Claimed = result
    return claimed


def _some_ready(unit: StoredUnit, polls: Sequence[Poll]) -> bool:
    return any(
        unit.ready_decisions(poll.category, requests.poll_names(poll), 1, suspect=suspect)
        if poll.kind is DecisionTask
        else unit.ready_activities(poll.category, requests.poll_names(poll), 1, suspect=suspect)
        for poll in polls
        for suspect in (False, True)
    )
