"""Workers in OS processes of their own on one PostgreSQL, while whatever can go wrong does: nothing is lost, nothing is doubled."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from pyworkflow.backend.listener import CursorFile, Listener
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.errors import (
    BackendReadOnlyError,
    BackendUnavailableError,
    BackendVersionError,
    TimedOutError,
)
from pyworkflow.event import ActivityEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted, ProcessCompleted
from tests.integration.attempts import STALE, Attempts
from tests.integration.program import SlowStepsWorkflow, StepsWorkflow, manager
from tests.integration.test_workers import spawn, working
from tests.postgresql import Server, new_server

pytestmark = pytest.mark.xdist_group("postgresql-faults")

T = TypeVar("T")

ROLE = "shop_worker"

STALL = "stop a worker past its lease"


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that the test may do anything to."""
    server = new_server()
    yield server
    server.remove()


def patiently(act: Callable[[], T]) -> T:
    """Do what may be tried again until it is done."""
    end = time.monotonic() + 120
    while True:
        try:
            return act()
        except BackendUnavailableError:
            assert time.monotonic() < end
            time.sleep(0.05)


class Chaos:
    """What is done to a server and to the workers on it."""

    def __init__(
        self,
        server: Server,
        schema: str,
        workers: int,
        attempts: Attempts,
        *,
        seed: int = 1,
        programs: str = "all",
    ) -> None:
        self.server = server
        self.attempts = attempts
        # Not as the administrator, who may do what others may not.
        self.url = server.url(ROLE, schema=schema)
        self.schema = schema
        manager(server.url(schema=schema)).backend.close()
        self.admin(f"create role {ROLE} login")
        self.admin(f"grant usage on schema {schema} to {ROLE}")
        self.admin(f"grant all on all tables in schema {schema} to {ROLE}")
        self.admin(f"grant all on all sequences in schema {schema} to {ROLE}")
        self.programs = programs
        self.chance = random.Random(seed)
        self.workers = [self._spawn() for _ in range(workers)]
        self.crashed: list[int] = []
        self.kinds: dict[str, Callable[[], None]] = {
            "kill a worker": self.kill_worker,
            STALL: self.stop_worker,
            "end all connections": lambda: self.end_connections("true"),
            "end one connection": lambda: self.end_connections("random() < 0.3"),
            "cancel what runs": self.cancel,
            "kill a server process": self.kill_backend,
            "restart": self.server.restart,
            "restart at once": lambda: self.server.restart(signal.SIGQUIT),
            "kill the server": lambda: self.server.restart(signal.SIGKILL),
            "take the right to write": self.take_rights,
            "use up all connections": self.fill,
            "refuse the password": self.shut_out,
            "lock the processes": self.lock,
            "make the server read-only": self.make_read_only,
        }

    def _spawn(self) -> "subprocess.Popen[bytes]":
        return spawn(self.url, lease=1.0, kinds=self.programs, attempts=self.attempts)

    def kill_worker(self) -> None:
        place = self.chance.randrange(len(self.workers))
        self.workers[place].kill()
        self.workers[place].wait()
        self.workers[place] = self._spawn()

    def stop_worker(self) -> None:
        self.attempts.stall(self.chance.choice(self.workers))

    def admin(self, text: str, *values: object) -> None:
        with self.server.connect() as admin:
            admin.execute(text, values)

    def end_connections(self, which: str) -> None:
        self.admin(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            f" where backend_type = 'client backend' and pid <> pg_backend_pid() and {which}"
        )

    def cancel(self) -> None:
        self.admin(
            "select pg_cancel_backend(pid) from pg_stat_activity"
            " where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )

    def kill_backend(self) -> None:
        with self.server.connect() as admin:
            found = admin.execute(
                "select pid from pg_stat_activity where application_name = 'pyworkflow' limit 1"
            ).fetchone()
        if found is not None:
            # The server takes that for a crash, and ends all the others.
            os.kill(int(str(found[0])), signal.SIGKILL)

    def take_rights(self) -> None:
        tables = f"insert, update, delete on all tables in schema {self.schema}"
        self.admin(f"revoke {tables} from {ROLE}")
        time.sleep(0.5)
        self.admin(f"grant {tables} to {ROLE}")

    def fill(self) -> None:
        self.admin(f"alter role {ROLE} connection limit 0")
        self.end_connections("true")
        time.sleep(0.5)
        self.admin(f"alter role {ROLE} connection limit -1")

    def shut_out(self) -> None:
        rules = self.server.data / "pg_hba.conf"
        before = rules.read_text()
        rules.write_text(f"local all {ROLE} reject\n{before}")
        self.admin("select pg_reload_conf()")
        self.end_connections("true")
        time.sleep(0.5)
        rules.write_text(before)
        self.admin("select pg_reload_conf()")

    def lock(self) -> None:
        with self.server.connect() as admin, admin.transaction():
            admin.execute(f"select from {self.schema}.process for update")
            time.sleep(0.5)

    def make_read_only(self) -> None:
        for mode in ("on", "off"):
            self.admin(f"alter system set default_transaction_read_only = {mode}")
            self.admin("select pg_reload_conf()")
            time.sleep(0.5)

    def strike(self, kind: str) -> None:
        """Do one of the things, and see which workers have not survived it."""
        self.kinds[kind]()
        self.crashed += [code for w in self.workers if (code := w.poll()) is not None]

    def end(self) -> list[int]:
        """Stop the workers; return their exit codes."""
        for worker in self.workers:
            worker.terminate()
        try:
            return [worker.wait(60) for worker in self.workers]
        finally:
            for worker in self.workers:
                worker.kill()
                worker.wait()


def under_fire(
    chaos: Chaos,
    processes: int,
    kinds: list[str],
    pause: float,
    patience: float = 180,
    contested: int = 0,
) -> list[str]:
    """Have processes done while all these things happen; return what went wrong, at the first that is stuck for so many seconds.

    Workers are stopped until there are enough `contested` answers, so that no run ends before it could find anything.
    """
    of = patiently(lambda: manager(chaos.url))
    ids: list[str] = []
    every = max(1, processes // len(kinds))
    left = list(kinds)
    wrong: list[str] = []
    try:
        # Work comes all the time, so that whatever is struck is at work.
        while len(ids) < processes or chaos.attempts.late().contested < contested:
            process_id = f"p{len(ids)}"
            patiently(lambda i=process_id: of.start_process(Process(SlowStepsWorkflow, id=i)))  # type: ignore[misc]
            if len(ids) % every == 0:
                time.sleep(chaos.chance.uniform(0, pause))
                chaos.strike(left.pop() if left else STALL)
            ids.append(process_id)
        for process_id in ids:
            process = patiently(lambda i=process_id: ended(of, i, patience))  # type: ignore[misc]
            done = results(process)
            if process.result != ProcessCompleted({"step": 3}) or done != 3:
                wrong.append(f"{process_id}: {process.result}, {done} results")
    except TimedOutError as error:
        wrong.append(f"{error} {of.pending(process_id)} {of.history(process_id)}")
    finally:
        codes = chaos.end()
    wrong += [f"a worker ended with {code}" for code in [*chaos.crashed, *codes] if code != 0]
    wrong += chaos.attempts.wrong(map(of.process_by_id, ids))
    wrong += [str(violation) for violation in of.backend.check()]
    of.backend.close()
    return wrong


def ended(of: Manager, process_id: str, patience: float = 180) -> Process:
    """Wait for a process as its operator does: one that has lost ten deciders in a row is parked, and resumed."""
    end = time.monotonic() + patience
    while True:
        try:
            return of.wait_for_process(process_id, 5)
        except TimedOutError:
            if time.monotonic() > end:
                raise
            if of.process_by_id(process_id).parked is not None:
                of.backend.retry_process(process_id)


def results(process: Process) -> int:
    """Return how many activities have a result; those that have lost ten workers have none, and are done again."""
    ends = [event.result for event in process.history if isinstance(event, ActivityEvent)]
    return sum(isinstance(result, ActivityCompleted) for result in ends)


def test_workers_under_every_kind_of_fault_lose_nothing_and_double_nothing(
    own_server: Server, schema: str, tmp_path: Path
) -> None:
    chaos = Chaos(own_server, schema, 3, Attempts(tmp_path / "attempts"))
    kinds = list(chaos.kinds)
    chaos.chance.shuffle(kinds)

    assert under_fire(chaos, 120, kinds, 0.2) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_workers_under_fire_for_a_minute_lose_nothing_and_double_nothing(
    own_server: Server, schema: str, seed: int, tmp_path: Path
) -> None:
    """Fourteen kinds of fault, five times each: one every second or two."""
    chaos = Chaos(own_server, schema, 4, Attempts(tmp_path / "attempts"), seed=seed)
    kinds = list(chaos.kinds) * 5
    chaos.chance.shuffle(kinds)
    assert len(chaos.kinds) >= 12

    assert under_fire(chaos, 1000, kinds, 1, contested=3) == []
    # Nothing that came late counts, and some did come.
    assert chaos.attempts.late().contested >= 3


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_fire_finds_out_when_tokens_are_not_checked(
    own_server: Server, schema: str, tmp_path: Path
) -> None:
    """The control: whoever comes late is believed."""
    chaos = Chaos(own_server, schema, 4, Attempts(tmp_path / "attempts"), programs="reckless")

    wrong = under_fire(chaos, 150, [STALL] * 6, 0.2, patience=5, contested=3)

    assert [line for line in wrong if STALE in line]


def test_many_os_processes_share_the_work(postgresql_server: Server, schema: str) -> None:
    url = postgresql_server.url(schema=schema)
    of = manager(url)
    running = [spawn(url, lease=30) for _ in range(4)]
    try:
        ids = [of.start_process(Process(StepsWorkflow)) for _ in range(200)]
        for process_id in ids:
            assert of.wait_for_process(process_id, 120).status is Status.COMPLETED
        # A worker that starts slowly heeds a signal only once it polls.
        end = time.monotonic() + 120
        while len(pids := _workers(postgresql_server, schema)) < 4 and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        for child in running:
            child.terminate()
        codes = [child.wait(60) for child in running]
    assert codes == [0] * 4
    assert len(pids) == 4
    assert of.backend.check() == []
    of.backend.close()


def _workers(server: Server, schema: str) -> set[str]:
    """Return the hosts and ids of the OS processes that have polled."""
    with server.connect() as admin:
        rows = admin.execute(f"select distinct identity from {schema}.poller").fetchall()
    return {str(identity).rpartition("-")[0] for (identity,) in rows}


def test_a_worker_outlives_a_restart_in_the_middle_of_its_work(
    own_server: Server, schema: str
) -> None:
    of = manager(own_server.url(schema=schema))
    with working(of, lease=5):
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            before = [patiently(lambda: of.start_process(Process(StepsWorkflow))) for _ in range(5)]
            own_server.restart(how)
            after = patiently(lambda: of.start_process(Process(StepsWorkflow)))
            for process_id in (*before, after):
                assert patiently(lambda i=process_id: of.wait_for_process(i, 60)).result == ProcessCompleted({"step": 3})  # type: ignore[misc] # fmt: skip
    assert of.backend.check() == []
    of.backend.close()


def test_while_the_server_is_away_a_worker_waits_and_does_not_spin(
    own_server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyworkflow.backend.postgresql import connections

    tried: list[object] = []
    connect = connections.connect

    def counted(*args: Any) -> Any:
        tried.append(args)
        return connect(*args)

    of = manager(own_server.url(schema=schema))
    with working(of):
        own_server.stop()
        monkeypatch.setattr(connections, "connect", counted)
        time.sleep(2)
        attempts = len(tried)
        own_server.start()
        process_id = patiently(lambda: of.start_process(Process(StepsWorkflow)))
        assert of.wait_for_process(process_id, 60).status is Status.COMPLETED

    assert 0 < attempts <= 40
    of.backend.close()


def test_the_longest_pause_of_whoever_waits_for_the_server_is_below_two_seconds(
    own_server: Server, schema: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the schedule of the pauses, which are not waited for: all go on within two seconds of the server's return."""
    pauses: list[float] = []
    enough = threading.Event()
    pause = Backoff.pause

    def shortened(one: Backoff) -> float:
        pauses.append(pause(one))
        if len(pauses) > 60:
            enough.set()
        return 0.01

    of = manager(own_server.url(schema=schema))
    listener = Listener(of.backend, lambda entries: None, CursorFile(tmp_path / "cursor"))
    onlooker = threading.Thread(target=listener.run)
    onlooker.start()
    with working(of):
        monkeypatch.setattr(Backoff, "pause", shortened)
        own_server.stop()
        assert enough.wait(120)
        own_server.start()
        process_id = patiently(lambda: of.start_process(Process(StepsWorkflow)))
        done = patiently(lambda: of.wait_for_process(process_id, 60))
    listener.stop()
    onlooker.join()

    assert done.status is Status.COMPLETED
    # The worker's, the onlooker's and the listening connection's have all come to their ends.
    assert sum(one == LONGEST_OUTAGE_PAUSE for one in pauses) > 20
    assert max(pauses) == LONGEST_OUTAGE_PAUSE < 2
    of.backend.close()


def test_a_standby_is_looked_at_and_takes_over_when_it_is_promoted(
    own_server: Server, schema: str
) -> None:
    with PostgreSQLBackend(own_server.url(), schema=schema):
        standby = new_server(own_server)
    try:
        with own_server.connect() as admin:
            # What is answered is on both.
            admin.execute("alter system set synchronous_standby_names = '*'")
            admin.execute("select pg_reload_conf()")
        both = f"{own_server.folder},{standby.folder}"
        url = f"postgresql://postgres@/postgres?host={quote(both, safe='')}&schema={schema}"
        of = manager(f"{url}&target_session_attrs=read-write")
        child = spawn(f"{url}&target_session_attrs=read-write", lease=1)
        try:
            with working(of, lease=1):
                ids = [of.start_process(Process(SlowStepsWorkflow)) for _ in range(20)]
                own_server.stop(signal.SIGKILL)
                with PostgreSQLBackend(standby.url(), schema=schema) as reader:
                    assert {p.id for p in reader.processes(status=None)} == set(ids)
                    with pytest.raises(BackendReadOnlyError):
                        reader.start_process(Process("StepsWorkflow"))
                with pytest.raises(BackendUnavailableError):
                    of.start_process(Process(StepsWorkflow))
                with standby.connect() as admin:
                    admin.execute("select pg_promote()")
                ids += [
                    patiently(lambda: of.start_process(Process(StepsWorkflow))) for _ in range(5)
                ]
                for process_id in ids:
                    assert patiently(lambda i=process_id: ended(of, i)).result == ProcessCompleted({"step": 3})  # type: ignore[misc] # fmt: skip
            assert child.poll() is None
        finally:
            child.terminate()
            child.wait(60)
        assert of.backend.check() == []
        of.backend.close()
    finally:
        standby.remove()


def start_for_ever(backend: PostgreSQLBackend) -> None:
    """Start processes until that is refused: a connection that is open hears of a setting a little later."""
    while True:
        backend.start_process(Process("w"))


def test_a_server_that_is_made_read_only_is_told_and_passes(
    own_server: Server, schema: str
) -> None:
    def read_only(mode: str) -> None:
        with own_server.connect() as admin:
            admin.execute(f"alter system set default_transaction_read_only = {mode}")
            admin.execute("select pg_reload_conf()")
        while True:
            with own_server.connect() as other:
                if other.execute("show default_transaction_read_only").fetchone() == (mode,):
                    return

    with PostgreSQLBackend(own_server.url(), schema=schema) as backend:
        backend.register_workflow("w")
        read_only("on")
        with pytest.raises(BackendReadOnlyError):
            start_for_ever(backend)
        assert backend.processes() is not None
        read_only("off")
        patiently(lambda: backend.start_process(Process("w", id="p")))
        assert backend.process_by_id("p").status is Status.OPEN


def test_a_full_house_is_told_and_passes(own_server: Server, schema: str) -> None:
    with own_server.connect() as admin:
        admin.execute("create role guest login connection limit 1")
        admin.execute("grant create on database postgres to guest")
    with PostgreSQLBackend(own_server.url("guest"), schema=schema, listen="off") as first:
        with pytest.raises(BackendUnavailableError, match="too many connections"):
            PostgreSQLBackend(own_server.url("guest"), schema=schema)
        first._readers.drop_idle()
    PostgreSQLBackend(own_server.url("guest"), schema=schema).close()


def test_a_table_that_is_gone_is_told_and_may_come_back(own_server: Server, schema: str) -> None:
    with (
        PostgreSQLBackend(own_server.url(), schema=schema) as backend,
        own_server.connect() as admin,
    ):
        backend.register_workflow("w")
        admin.execute(f"alter table {schema}.event rename to gone")
        with pytest.raises(BackendVersionError, match="lacks"):
            backend.start_process(Process("w"))
        admin.execute(f"alter table {schema}.gone rename to event")

        backend.start_process(Process("w", id="p"))
        assert [p.id for p in backend.processes()] == ["p"]


def test_a_role_that_loses_its_rights_is_told(own_server: Server, schema: str) -> None:
    with own_server.connect() as admin:
        admin.execute("create role guest login")
        admin.execute("grant create on database postgres to guest")
        of = Manager(PostgreSQLBackend(own_server.url("guest"), schema=schema), [StepsWorkflow])
        admin.execute(f"alter table {schema}.process owner to postgres")
        with pytest.raises(BackendReadOnlyError):
            of.start_process(Process(StepsWorkflow))
        admin.execute(f"grant all on {schema}.process to guest")

        of.start_process(Process(StepsWorkflow))
        of.backend.close()
