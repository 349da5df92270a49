"""The limit: hand-written loops that do the workloads' rows and nothing else.

No validation, no leases that expire, no timeouts, no retries, no children, no classes: what is left is the cost of the store and of the
language. The figures of pyworkflow are printed as a share of these.
"""

import time
from collections import deque
from pathlib import Path
from typing import Any, Protocol

import apsw
import msgspec

BATCH = 100

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

DECISION, ACTIVITY = 0, 1

SCHEMA = """
create table proc (id integer primary key, seq int not null, queued int not null, status int not null default 0, result blob);
create table hist (pid int, seq int, body blob, primary key (pid, seq)) without rowid;
create table queue (id integer primary key, kind int, pid int, body blob, owner int, deadline real);
create index queue_free on queue (id) where owner is null;
"""

Row = tuple[int, int, int, bytes | None]
"""A task: its number, kind, process and body."""


class Done:
    """What became of a task."""

    __slots__ = ("body", "events", "final", "kind", "pid", "scheduled", "seen", "task")

    def __init__(self, task: int, kind: int, pid: int, seen: int = 0) -> None:
        self.task = task
        self.kind = kind
        self.pid = pid
        self.seen = seen
        self.events: list[bytes] = []
        self.scheduled: list[bytes] = []
        self.final: bytes | None = None


class Store(Protocol):
    """What the loop needs."""

    def start(self, inputs: list[Any]) -> list[int]:
        """Start processes in one transaction."""
        ...

    def signal(self, pids: list[int], data: Any) -> None:
        """Signal processes in one transaction."""
        ...

    def round(self, done: list[Done], limit: int) -> list[Row]:
        """Commit what is done and claim what comes next, in one transaction."""
        ...

    def events(self, pid: int, since: int) -> list[bytes]:
        """Return the events after the first `since`."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class MemoryStore:
    """Dicts and a deque."""

    def __init__(self) -> None:
        self.queue: deque[Row] = deque()
        self.histories: list[list[bytes]] = [[]]
        self.queued: list[bool] = [False]

    def start(self, inputs: list[Any]) -> list[int]:
        first = len(self.histories)
        for given in inputs:
            pid = len(self.histories)
            self.histories.append([encode(("started", given))])
            self.queued.append(True)
            self.queue.append((0, DECISION, pid, None))
        return list(range(first, len(self.histories)))

    def signal(self, pids: list[int], data: Any) -> None:
        body = encode(("signal", data))
        for pid in pids:
            self.histories[pid].append(body)
            self._wake(pid)

    def _wake(self, pid: int) -> None:
        if not self.queued[pid]:
            self.queued[pid] = True
            self.queue.append((0, DECISION, pid, None))

    def round(self, done: list[Done], limit: int) -> list[Row]:
        for item in done:
            history = self.histories[item.pid]
            if item.kind == DECISION:
                self.queued[item.pid] = False
                if len(history) > item.seen:
                    self._wake(item.pid)
            history.extend(item.events)
            for body in item.scheduled:
                self.queue.append((0, ACTIVITY, item.pid, body))
            if item.kind == ACTIVITY:
                self._wake(item.pid)
        return [self.queue.popleft() for _ in range(min(limit, len(self.queue)))]

    def events(self, pid: int, since: int) -> list[bytes]:
        return self.histories[pid][since:]

    def close(self) -> None:
        pass


class SQLiteStore:
    """Four tables, full durability, one transaction a round."""

    def __init__(self, path: Path) -> None:
        self.db = apsw.Connection(str(path))
        for pragma in ("journal_mode=wal", "synchronous=full", "cache_size=-65536"):
            self.db.execute(f"pragma {pragma}")
        self.db.execute(SCHEMA)

    def start(self, inputs: list[Any]) -> list[int]:
        with self.db:
            first = self.db.execute("select coalesce(max(id), 0) + 1 from proc").get
            pids = list(range(first, first + len(inputs)))
            self.db.executemany(
                "insert into proc (id, seq, queued) values (?, 1, 1)", [(p,) for p in pids]
            )
            bodies = [(p, encode(("started", i))) for p, i in zip(pids, inputs, strict=True)]
            self.db.executemany("insert into hist values (?, 1, ?)", bodies)
            self.db.executemany("insert into queue (kind, pid) values (0, ?)", [(p,) for p in pids])
        return pids

    def signal(self, pids: list[int], data: Any) -> None:
        body = encode(("signal", data))
        with self.db:
            for pid in pids:
                seq, queued = next(
                    self.db.execute("select seq, queued from proc where id = ?", (pid,))
                )
                self.db.execute("insert into hist values (?, ?, ?)", (pid, seq + 1, body))
                self.db.execute("update proc set seq = ?, queued = 1 where id = ?", (seq + 1, pid))
                if not queued:
                    self.db.execute("insert into queue (kind, pid) values (0, ?)", (pid,))

    def round(self, done: list[Done], limit: int) -> list[Row]:
        with self.db:
            if done:
                self._record(done)
            rows: list[Row] = list(
                self.db.execute(
                    "select id, kind, pid, body from queue where owner is null order by id limit ?",
                    (limit,),
                )
            )
            lease = time.monotonic() + 60
            self.db.executemany(
                "update queue set owner = 1, deadline = ? where id = ?",
                [(lease, r[0]) for r in rows],
            )
        return rows

    def _record(self, done: list[Done]) -> None:
        states: dict[int, list[int]] = {}
        history: list[tuple[int, int, bytes]] = []
        queue: list[tuple[int, int, bytes | None]] = []
        for item in done:
            state = states.get(item.pid)
            if state is None:
                found = self.db.execute("select seq, queued from proc where id = ?", (item.pid,))
                state = states[item.pid] = list(next(found))
            if item.kind == DECISION:
                state[1] = int(state[0] > item.seen)
                if state[1] and item.final is None:
                    queue.append((DECISION, item.pid, None))
            for body in item.events:
                state[0] += 1
                history.append((item.pid, state[0], body))
            queue.extend((ACTIVITY, item.pid, body) for body in item.scheduled)
            if item.kind == ACTIVITY and not state[1]:
                state[1] = 1
                queue.append((DECISION, item.pid, None))
        self.db.executemany("insert into hist values (?, ?, ?)", history)
        self.db.executemany("delete from queue where id = ?", [(item.task,) for item in done])
        self.db.executemany(
            "update proc set seq = ?, queued = ? where id = ?",
            [(s, q, p) for p, (s, q) in states.items()],
        )
        self.db.executemany("insert into queue (kind, pid, body) values (?, ?, ?)", queue)
        ended = [(item.final, item.pid) for item in done if item.final is not None]
        self.db.executemany("update proc set status = 1, result = ? where id = ?", ended)

    def events(self, pid: int, since: int) -> list[bytes]:
        found = self.db.execute(
            "select body from hist where pid = ? and seq > ? order by seq", (pid, since)
        )
        return [row[0] for row in found]

    def close(self) -> None:
        self.db.close()


class Loop:
    """Decider and activities in one: rounds until nothing is left."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cursors: dict[int, int] = {}
        self.states: dict[int, dict[str, int]] = {}
        self.stamps: list[float] = []

    def run(self) -> None:
        """Do rounds until there is nothing to claim."""
        done: list[Done] = []
        while (rows := self.store.round(done, BATCH)) or done:
            done = [
                self._activity(row) if row[1] == ACTIVITY else self._decide(row) for row in rows
            ]

    def _activity(self, row: Row) -> Done:
        given = decode(row[3] or b"null")
        done = Done(row[0], ACTIVITY, row[2])
        result = {"order": given["order"], "step": given.get("step", 0) + 1, "ok": True}
        done.events.append(encode(("done", result)))
        self.stamps.append(time.perf_counter())
        return done

    def _decide(self, row: Row) -> Done:
        pid = row[2]
        bodies = self.store.events(pid, self.cursors.get(pid, 0))
        seen = self.cursors[pid] = self.cursors.get(pid, 0) + len(bodies)
        state = self.states.setdefault(pid, {})
        done = Done(row[0], DECISION, pid, seen)
        for body in bodies:
            kind, data = decode(body)
            self._react(done, state, kind, data)
        self.cursors[pid] += len(done.events)
        return done

    def _react(self, done: Done, state: dict[str, int], kind: str, data: Any) -> None:
        if kind == "started":
            state["steps"] = data.get("steps", 3)
            state["left"] = data.get("fan", 1)
            if not data.get("wait"):
                for _ in range(state["left"]):
                    self._schedule(done, data)
        elif kind == "done":
            state["left"] -= 1
            if "fan" not in data and data["step"] < state["steps"] and state["left"] == 0:
                state["left"] = 1
                self._schedule(done, data)
            elif state["left"] == 0:
                self._complete(done, data)
        elif kind == "signal":
            self._complete(done, data)

    def _schedule(self, done: Done, data: Any) -> None:
        body = encode(data)
        done.events.append(encode(("scheduled", data)))
        done.scheduled.append(body)

    def _complete(self, done: Done, data: Any) -> None:
        done.final = encode(data)
        done.events.append(encode(("complete", data)))
