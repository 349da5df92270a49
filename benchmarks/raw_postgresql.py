"""The limit on PostgreSQL: the hand-written loop's rows in four tables, a round in three ways to the server and back."""

from typing import Any

import psycopg
from psycopg.rows import tuple_row

from benchmarks.raw import ACTIVITY, DECISION, Done, Row, encode

SCHEMA = """
create table proc (id bigserial primary key, seq int not null, queued bool not null, status int not null default 0, result bytea);
create table hist (pid bigint, seq int, body bytea, primary key (pid, seq));
create table queue (id bigserial primary key, kind int, pid bigint, body bytea, owner int, deadline float8);
create index queue_free on queue (id) where owner is null;
"""

CLAIM = """
with free as (select id from queue where owner is null order by id limit %s for update skip locked)
update queue q set owner = 1, deadline = 1 from free where q.id = free.id returning q.id, q.kind, q.pid, q.body
"""


class PostgreSQLStore:
    """Four tables, full durability, one transaction a round, arrays for rows, prepared statements."""

    def __init__(self, url: str) -> None:
        self.db = psycopg.connect(url, autocommit=True, prepare_threshold=1, row_factory=tuple_row)
        self.db.execute(SCHEMA)
        self._seen: dict[int, int] = {}
        self._fetched: dict[int, list[bytes]] = {}

    def start(self, inputs: list[Any]) -> list[int]:
        bodies = [encode(("started", given)) for given in inputs]
        with self.db.pipeline(), self.db.transaction():
            found = self.db.execute(
                "insert into proc (seq, queued) select 1, true from generate_series(1, %s) returning id",
                (len(inputs),),
            )
            pids = [row[0] for row in found.fetchall()]
            self._add_history([(p, 1, body) for p, body in zip(pids, bodies, strict=True)])
            self._add_tasks([(DECISION, p, None) for p in pids])
        return pids

    def signal(self, pids: list[int], data: Any) -> None:
        body = encode(("signal", data))
        with self.db.pipeline(), self.db.transaction():
            states = self._states(pids)
            self._add_history([(p, seq + 1, body) for p, (seq, _) in states.items()])
            self._set_states({p: [seq + 1, True] for p, (seq, _) in states.items()})
            self._add_tasks(
                [(DECISION, p, None) for p, (_, queued) in states.items() if not queued]
            )

    def round(self, done: list[Done], limit: int) -> list[Row]:
        with self.db.pipeline():
            with self.db.transaction():
                if done:
                    self._record(done)
                claimed = self.db.execute(CLAIM, (limit,), binary=True)
            rows: list[Row] = sorted(claimed.fetchall())
        self._fetch([row[2] for row in rows if row[1] == DECISION])
        return rows

    def events(self, pid: int, since: int) -> list[bytes]:
        return self._fetched.pop(pid, [])

    def _fetch(self, pids: list[int]) -> None:
        """Read what is new in the histories of some processes, all at once."""
        if not pids:
            return
        found = self.db.execute(
            "select h.pid, h.body from unnest(%s::bigint[], %s::int[]) as x (pid, since)"
            " join hist h on h.pid = x.pid and h.seq > x.since order by h.pid, h.seq",
            (pids, [self._seen.get(pid, 0) for pid in pids]),
            binary=True,
        )
        for pid, body in found:
            self._fetched.setdefault(pid, []).append(body)

    def _record(self, done: list[Done]) -> None:
        states = self._states(sorted({item.pid for item in done}))
        history: list[tuple[int, int, bytes]] = []
        tasks: list[tuple[int, int, bytes | None]] = []
        for item in done:
            state = states[item.pid]
            if item.kind == DECISION:
                state[1] = state[0] > item.seen
                self._seen[item.pid] = item.seen + len(item.events)
                if state[1] and item.final is None:
                    tasks.append((DECISION, item.pid, None))
            for body in item.events:
                state[0] += 1
                history.append((item.pid, state[0], body))
            tasks.extend((ACTIVITY, item.pid, body) for body in item.scheduled)
            if item.kind == ACTIVITY and not state[1]:
                state[1] = True
                tasks.append((DECISION, item.pid, None))
        self._add_history(history)
        self.db.execute("delete from queue where id = any(%s)", ([item.task for item in done],))
        self._set_states(states)
        self._add_tasks(tasks)
        if ended := [(item.pid, item.final) for item in done if item.final is not None]:
            self.db.execute(
                "update proc p set status = 1, result = x.result"
                " from unnest(%s::bigint[], %s::bytea[]) as x (id, result) where p.id = x.id",
                tuple(map(list, zip(*ended, strict=True))),
            )

    def _states(self, pids: list[int]) -> dict[int, list[int]]:
        found = self.db.execute(
            "select id, seq, queued from proc where id = any(%s) order by id for no key update",
            (pids,),
        )
        return {pid: [seq, queued] for pid, seq, queued in found.fetchall()}

    def _set_states(self, states: dict[int, list[int]]) -> None:
        self.db.execute(
            "update proc p set seq = x.seq, queued = x.queued"
            " from unnest(%s::bigint[], %s::int[], %s::bool[]) as x (id, seq, queued) where p.id = x.id",
            (list(states), [s[0] for s in states.values()], [bool(s[1]) for s in states.values()]),
        )

    def _add_history(self, rows: list[tuple[int, int, bytes]]) -> None:
        if rows:
            self.db.execute(
                "insert into hist select * from unnest(%s::bigint[], %s::int[], %s::bytea[])",
                tuple(map(list, zip(*rows, strict=True))),
            )

    def _add_tasks(self, rows: list[tuple[int, int, bytes | None]]) -> None:
        if rows:
            self.db.execute(
                "insert into queue (kind, pid, body) select * from unnest(%s::int[], %s::bigint[], %s::bytea[])",
                tuple(map(list, zip(*rows, strict=True))),
            )

    def close(self) -> None:
        self.db.close()
