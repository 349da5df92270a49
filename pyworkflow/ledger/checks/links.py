"""What holds between processes: ids, runs, parents and children, leases."""

from hashlib import blake2b

from msgspec import Struct

from pyworkflow.codec import decode, encode
from pyworkflow.decision import ChildPolicy
from pyworkflow.errors import PyworkflowError
from pyworkflow.ledger.checks.history import Told
from pyworkflow.ledger.checks.items import Children
from pyworkflow.ledger.checks.record import ProcessRecord, Violation
from pyworkflow.ledger.lifecycle import OPEN
from pyworkflow.ledger.rows import ChildRow, ProcessRow
from pyworkflow.result import AnyProcessResult, ProcessContinued, ProcessResult


class _Open(Struct, frozen=True):
    """What is remembered of an open process."""

    id: str
    run: int
    workflow: str
    parent_key: int | None
    parent_id: str | None
    handles_cancel: bool
    told: dict[str, bytes]


class _Ended(Struct, frozen=True):
    """What is remembered of a closed child."""

    id: str
    parent_key: int
    result: bytes


class Links:
    """Remembers of each record, in the order of their keys, what others must agree with; of closed ones as little as will do."""

    def __init__(self) -> None:
        self.found: list[Violation] = []
        self.open: dict[int, _Open] = {}
        self.latest: dict[str, int] = {}
        self.awaited: list[tuple[str, ChildRow]] = []
        self.continued: dict[tuple[str, int], Children] = {}
        self.forced: list[tuple[int, str, str]] = []
        self.ended: list[_Ended] = []
        self.tokens: set[str] = set()

    def violated(self, invariant: str, process_id: str, message: str) -> None:
        """Keep a violation."""
        self.found.append(Violation(invariant, process_id, message))

    def inherited(self, row: ProcessRow) -> Children | None:
        """Return the children that a run was left by the one before it; None if that is not at hand."""
        return {} if row.run == 1 else self.continued.pop((row.id, row.run), None)

    def add(self, record: ProcessRecord, told: Told) -> None:
        """Remember a record."""
        row = record.row
        self._add_tokens(record)
        if row.status == OPEN:
            if row.id in self.latest:
                self.violated("I20", row.id, "two open processes have this id")
            self.latest[row.id] = row.key
            ends = {child: _digest(result) for child, result in told.items.ended.items()}
            self.open[row.key] = _Open(
                row.id,
                row.run,
                row.workflow,
                row.parent_key,
                row.parent_id,
                row.handles_cancel,
                ends,
            )
            self.awaited.extend((row.id, child) for child in record.children)
        elif isinstance(told.result(), ProcessContinued):
            self.continued[row.id, row.run + 1] = told.items.children
        else:
            self._add_closed(row, told)

    def _add_tokens(self, record: ProcessRecord) -> None:
        for task in (record.decision, *record.activities):
            if task is not None and task.token is not None:
                if task.token in self.tokens:
                    self.violated("I14", record.row.id, "two leases have the same token")
                self.tokens.add(task.token)

    def _add_closed(self, row: ProcessRow, told: Told) -> None:
        for child, decision in told.items.children.items():
            if decision is not None and decision.child_policy != ChildPolicy.ABANDON:
                self.forced.append((row.key, child, decision.child_policy))
        # A parent with a smaller key has been here: if it is not open, nobody was to be told.
        key = row.parent_key
        if key is None or row.result is None or (key < row.key and key not in self.open):
            return
        try:
            result: ProcessResult = decode(row.result, AnyProcessResult)
        except PyworkflowError:
            return  # Found as I20 already.
        self.ended.append(_Ended(row.id, key, _digest(result)))

    def check(self) -> list[Violation]:
        """Return every violation, after the last record."""
        waits: set[tuple[int, str]] = set()
        for parent_id, link in self.awaited:
            waits.add((link.key, link.id))
            self._check_child(parent_id, link)
        for key, process in self.open.items():
            self._check_parent(process, waits)
            self._check_circle(key)
        for key, child, policy in self.forced:
            self._check_forced(key, child, policy)
        for ended in self.ended:
            self._check_told(ended)
        for name, run in self.continued:
            self.violated("I20", name, f"it was continued as run {run}, which is not there")
        return self.found

    def _check_child(self, parent_id: str, link: ChildRow) -> None:
        key = self.latest.get(link.id)
        if key is None:
            self.violated("I19", parent_id, f"it waits for child {link.id!r}, which is not open")
            return
        child = self.open[key]
        if child.parent_key != link.key or child.parent_id != parent_id:
            self.violated(
                "I19",
                parent_id,
                f"it waits for child {link.id!r}, whose parent is {child.parent_id!r}",
            )
        first = child.run == 1
        if (link.child_key != key) if first else (link.child_key >= key):
            self.violated("I19", parent_id, f"it waits for another run of child {link.id!r}")
        if first and child.workflow != link.workflow:
            self.violated("I19", parent_id, f"it waits for a {link.workflow!r} as {link.id!r}")

    def _check_parent(self, process: _Open, waits: set[tuple[int, str]]) -> None:
        key = process.parent_key
        if key is None or key not in self.open:
            return
        if process.parent_id != self.open[key].id:
            self.violated(
                "I19", process.id, "the key and the id of its parent are of two processes"
            )
        if (key, process.id) not in waits:
            self.violated("I19", process.id, "its parent is open and does not wait for it")

    def _check_circle(self, start: int) -> None:
        key: int | None = self.open[start].parent_key
        steps = 0
        while key in self.open and key != start and steps <= len(self.open):
            key = self.open[key].parent_key
            steps += 1
        if key == start:
            self.violated("I19", self.open[start].id, "it is its own ancestor")

    def _check_forced(self, key: int, child: str, policy: str) -> None:
        process = self.open.get(self.latest.get(child, -1))
        if process is None or process.parent_key != key:
            return
        if policy == ChildPolicy.TERMINATE or not process.handles_cancel:
            self.violated("I19", child, "it should have ended with its parent")

    def _check_told(self, ended: _Ended) -> None:
        parent = self.open.get(ended.parent_key)
        if parent is not None and parent.told.get(ended.id) != ended.result:
            self.violated("I19", parent.id, f"it was not told how child {ended.id!r} ended")


def _digest(result: ProcessResult) -> bytes:
    return blake2b(encode(result), digest_size=16).digest()
