"""The transaction of the memory backend."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TypeVar

from pyworkflow.backend.base import Queue
from pyworkflow.backend.memory_deadlines import Due
from pyworkflow.backend.memory_tables import OPEN, Entry, Tables, Task
from pyworkflow.backend.memory_tables import Queue as TaskQueue
from pyworkflow.backend.reading import Depth, queues_of
from pyworkflow.backend.unit import DefinitionRow, FeedBatch, PollerRow, StoredUnit
from pyworkflow.ledger.invariants import ProcessRecord, Violation, check_all
from pyworkflow.ledger.rows import (
    PARKED,
    SCHEDULED,
    STARTED,
    ActivityRow,
    ActivityTypeRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
    WorkflowRow,
)
from pyworkflow.ledger.unit import Names

T = TypeVar("T")


class MemoryUnit(StoredUnit):
    """A transaction: rows are the tables' own, and the ledger changes nothing before it has checked everything."""

    def __init__(self, tables: Tables, now: int) -> None:
        super().__init__(now)
        self.tables = tables
        self._taken: list[Entry] = []

    def end(self) -> None:
        """Leave the queues in order, whatever came of the transaction."""
        self.tables.put_back(self._taken)

    def keep(self) -> list[FeedBatch]:
        """Add the new events to the histories; return them as they are in the feed."""
        tables = self.tables
        recorded: list[FeedBatch] = []
        for batch in self.sealed():
            process = batch.process
            if process.status != OPEN:
                tables.open.pop(process.key, None)
                tables.deadlines.forget(process)
            tables.place += 1
            entry = FeedBatch(
                tables.place,
                process.id,
                process.run,
                process.workflow,
                process.parent_id,
                batch.first_seq,
                batch.body,
            )
            tables.feed.append(entry)
            tables.batches.setdefault(process.key, []).append(entry)
            recorded.append(entry)
        return recorded

    # -- what the rules read -------------------------------------------------------------------------------------------------------

    def workflow(self, name: str) -> WorkflowRow | None:
        return self.tables.workflows.get(name)

    def activity_type(self, name: str) -> ActivityTypeRow | None:
        return self.tables.types.get(name)

    def find(self, process_id: str) -> ProcessRow | None:
        runs = self.tables.runs.get(process_id)
        return self.tables.processes[runs[-1]] if runs else None

    def process(self, key: int) -> ProcessRow | None:
        return self.tables.processes.get(key)

    def input(self, key: int) -> bytes | None:
        return self.tables.inputs.get(key)

    def decision(self, key: int) -> DecisionRow | None:
        return self.tables.decisions.get(key)

    def activity(self, key: int, activity_id: str) -> ActivityRow | None:
        return self.tables.activities.get(key, {}).get(activity_id)

    def activity_by_number(self, number: int) -> ActivityRow | None:
        return self.tables.by_number.get(number)

    def timer(self, key: int, timer_id: str) -> TimerRow | None:
        return self.tables.timers.get(key, {}).get(timer_id)

    def child(self, key: int, child_id: str) -> ChildRow | None:
        return self.tables.children.get(key, {}).get(child_id)

    def activities(self, key: int) -> list[ActivityRow]:
        return list(self.tables.activities.get(key, {}).values())

    def timers(self, key: int) -> list[TimerRow]:
        return list(self.tables.timers.get(key, {}).values())

    def children(self, key: int) -> list[ChildRow]:
        return list(self.tables.children.get(key, {}).values())

    def signaled(self, process: ProcessRow, signal_id: str) -> bool:
        return (process.first_key, signal_id) in self.tables.receipts

    def has_text(self, key: int, text: str) -> bool:
        return any(text.encode() in batch.body for batch in self.tables.batches.get(key, ()))

    def ready_decisions(
        self, category: str, names: Names, limit: int, *, suspect: bool = False
    ) -> list[DecisionRow]:
        rows = self._ready((DecisionRow, category, suspect), names, limit)
        return [row for row in rows if isinstance(row, DecisionRow)]

    def ready_activities(
        self, category: str, names: Names, limit: int, *, suspect: bool = False
    ) -> list[ActivityRow]:
        rows = self._ready((ActivityRow, category, suspect), names, limit)
        return [row for row in rows if isinstance(row, ActivityRow)]

    def _ready(self, queue: TaskQueue, names: Names, limit: int) -> list[Task]:
        if limit == 1 and (longest := self.tables.longest(queue, names, self.now)):
            return [longest]
        taken = self.tables.take(queue, names, self.now, limit)
        self._taken.extend(taken)
        return [entry[3] for entry in taken]

    def due(self, limit: int) -> list[Due]:
        return self.tables.deadlines.pop(self.now, limit)

    def next_due(self) -> int:
        return self.tables.deadlines.next(self.now)

    # -- what the rules change -----------------------------------------------------------------------------------------------------

    def next_key(self) -> int:
        return next(self.tables.keys)

    def next_number(self) -> int:
        return next(self.tables.numbers)

    def add_process(self, row: ProcessRow, input: bytes) -> None:
        tables = self.tables
        tables.processes[row.key] = tables.open[row.key] = row
        tables.runs.setdefault(row.id, []).append(row.key)
        tables.inputs[row.key] = input
        tables.deadlines.watch(row)

    def add(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        tables = self.tables
        if isinstance(row, DecisionRow):
            tables.decisions[row.key] = row
        elif isinstance(row, ActivityRow):
            tables.activities.setdefault(row.key, {})[row.id] = row
            tables.by_number[row.number] = row
        elif isinstance(row, TimerRow):
            tables.timers.setdefault(row.key, {})[row.id] = row
        else:
            tables.children.setdefault(row.key, {})[row.id] = row
        self._arrange(row)

    def changed(self, row: ProcessRow | DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        if not isinstance(row, ProcessRow):
            self._arrange(row)

    def _arrange(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        if isinstance(row, ChildRow):
            return
        if not isinstance(row, TimerRow) and row.state == SCHEDULED:
            self.tables.enqueue(row)
        self.tables.deadlines.watch(row)

    def drop(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        tables = self.tables
        if not isinstance(row, ChildRow):
            tables.deadlines.forget(row)
        if isinstance(row, DecisionRow):
            del tables.decisions[row.key]
        elif isinstance(row, ActivityRow):
            del tables.by_number[row.number]
            _remove(tables.activities, row.key, row.id)
        elif isinstance(row, TimerRow):
            _remove(tables.timers, row.key, row.id)
        else:
            _remove(tables.children, row.key, row.id)

    def add_signal(self, process: ProcessRow, signal_id: str) -> None:
        self.tables.signals.setdefault(process.key, set()).add(signal_id)
        self.tables.receipts.setdefault((process.first_key, signal_id), set()).add(process.key)

    # -- beyond the rules ----------------------------------------------------------------------------------------------------------

    def set_workflow(self, row: WorkflowRow) -> None:
        self.tables.workflows[row.name] = row

    def set_activity_type(self, row: ActivityTypeRow) -> None:
        self.tables.types[row.name] = row

    def workflows(self) -> list[WorkflowRow]:
        return [row for _, row in sorted(self.tables.workflows.items())]

    def activity_types(self) -> list[ActivityTypeRow]:
        return [row for _, row in sorted(self.tables.types.items())]

    def define(self, kind: str, name: str, body: bytes) -> int:
        rows = self.tables.definitions
        rows.append(DefinitionRow(len(rows) + 1, kind, name, body, self.now))
        return len(rows)

    def definitions(self, since: int) -> list[DefinitionRow]:
        return self.tables.definitions[max(since, 0) :]

    def saw(self, kind: str, category: str, identity: str, names: Names) -> None:
        self.tables.polled[identity, kind, category] = self.now, names

    def pollers(self, since: int) -> list[PollerRow]:
        return [
            PollerRow(*key, seen, names)
            for key, (seen, names) in sorted(self.tables.polled.items(), key=lambda item: item[0])
            if seen >= since
        ]

    def run_of(self, process_id: str, run: int) -> ProcessRow | None:
        for key in self.tables.runs.get(process_id, ()):
            if self.tables.processes[key].run == run:
                return self.tables.processes[key]
        return None

    def batches(self, key: int, since: int) -> list[tuple[int, bytes]]:
        batches = self.tables.batches.get(key, [])
        # The batch before the first that begins later may still have events after `since`.
        start = max(0, bisect_right(batches, since + 1, key=lambda batch: batch.first_seq) - 1)
        return [(batch.first_seq, batch.body) for batch in batches[start:]]

    def select(
        self,
        workflow: str | None,
        tag: str | None,
        status: str | None,
        parked: bool | None,
        limit: int | None,
        after: int,
        newest: bool,
    ) -> list[ProcessRow]:
        rows: list[ProcessRow] = []
        source = self.tables.open if status == OPEN else self.tables.processes
        for key, row in reversed(source.items()) if newest else source.items():
            if (
                (key < after if newest else key > after)
                and (workflow is None or row.workflow == workflow)
                and (tag is None or tag in row.tags)
                and (status is None or row.status == status)
                and (parked is None or parked == self._parked(key))
            ):
                rows.append(row)
                if len(rows) == limit:
                    break
        return rows

    def _parked(self, key: int) -> bool:
        decision = self.tables.decisions.get(key)
        return decision is not None and decision.state == PARKED

    def feed(self, after: int, limit: int) -> list[FeedBatch]:
        feed = self.tables.feed
        start = bisect_right(feed, after, key=lambda batch: batch.place)
        return feed[start : start + limit]

    def feed_end(self) -> FeedBatch | None:
        return self.tables.feed[-1] if self.tables.feed else None

    def feed_purged(self) -> int:
        return self.tables.purged

    def queues(self, since: int) -> list[Queue]:
        depths = [
            *(self._depth("decision", row) for row in self.tables.decisions.values()),
            *(self._depth("activity", row) for row in self.tables.by_number.values()),
        ]
        return queues_of(depths, self.pollers(since))

    def _depth(self, kind: str, row: Task) -> Depth:
        waits = row.state == SCHEDULED and row.ready <= self.now
        delayed = row.state == SCHEDULED and not waits
        running = row.state == STARTED
        oldest = row.ready if waits else None
        return Depth(kind, row.category, row.name, waits, delayed, running, oldest)

    def check(self, progress: Callable[[int, int], None] | None) -> list[Violation]:
        return check_all(
            self._records(),
            len(self.tables.processes),
            progress,
            registered=self.tables.workflows,
            now=self.now,
        )

    def _records(self) -> Iterator[ProcessRecord]:
        for key, row in self.tables.processes.items():
            yield ProcessRecord(
                row=row,
                input=self.input(key),
                batches=self.batches(key, 0),
                decision=self.decision(key),
                activities=self.activities(key),
                timers=self.timers(key),
                children=self.children(key),
                signals=sorted(self.tables.signals.get(key, ())),
            )

    def purge(self, before: int, limit: int) -> int:
        tables = self.tables
        gone = [
            row
            for row in tables.processes.values()
            if row.status != OPEN and row.closed is not None and row.closed < before
        ][:limit]
        for row in gone:
            del tables.processes[row.key]
            tables.inputs.pop(row.key, None)
            for name in tables.signals.pop(row.key, ()):
                runs = tables.receipts[row.first_key, name]
                runs.remove(row.key)
                if not runs:
                    del tables.receipts[row.first_key, name]
            tables.runs[row.id].remove(row.key)
            if not tables.runs[row.id]:
                del tables.runs[row.id]
        removed = {batch.place for row in gone for batch in tables.batches.pop(row.key)}
        if removed:
            tables.feed = [batch for batch in tables.feed if batch.place not in removed]
            tables.purged = max(tables.purged, *removed)
        return len(gone)


def _remove(table: dict[int, dict[str, T]], key: int, item: str) -> None:
    rows = table[key]
    del rows[item]
    if not rows:
        del table[key]
