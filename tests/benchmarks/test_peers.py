"""The programs of other frameworks, and what starts them."""

import sys
from pathlib import Path

import pytest

from benchmarks import servers
from benchmarks.__main__ import available
from benchmarks.peers import running
from benchmarks.peers.catalog import Peer, catalog
from benchmarks.servers import MissingError, PostgreSQL

FOLDER = Path(running.__file__).parent


def none() -> PostgreSQL:
    raise MissingError("there is no PostgreSQL")


PEERS = catalog(none)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.name}-{peer.store}")
def test_a_peer_has_a_program_and_a_requirement(peer: Peer) -> None:
    requirements = (FOLDER / "requirements.txt").read_text("utf-8").splitlines()

    assert (FOLDER / "programs" / f"{peer.program}.py").exists()
    assert peer.package in requirements


def test_without_an_environment_every_peer_is_missing_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(running, "PYTHON", tmp_path / "python")

    versions, missing = available(PEERS)

    assert not versions
    assert [(one.system, one.store) for one in missing] == [(p.name, p.store) for p in PEERS]
    assert {one.reason for one in missing} == {
        "there is no .venv-peers; ./do bench --peers makes it"
    }


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PYTHON", Path(sys.executable))

    with pytest.raises(MissingError, match="dbos is not installed"):
        running.version(PEERS[0])


def test_a_peer_whose_store_does_not_start_is_missing() -> None:
    on_server = next(peer for peer in PEERS if peer.store == "PostgreSQL")

    with pytest.raises(MissingError, match="there is no PostgreSQL"):
        running.measured(on_server, "w1", 1)


def test_the_figures_are_the_last_line_of_the_output() -> None:
    assert running.parsed(0, 'starting\n{"rate": 2.5}\n', "a warning") == {"rate": 2.5}


@pytest.mark.parametrize(
    ("code", "output", "errors", "reason"),
    [
        (1, '{"rate": 2.5}', "Traceback\nValueError: no\n", "ValueError: no"),
        (0, "nothing", "", "nothing"),
        (0, "", "", "it ended with 0"),
    ],
)
def test_a_program_that_fails_is_missing_with_its_last_words(
    code: int, output: str, errors: str, reason: str
) -> None:
    with pytest.raises(MissingError) as caught:
        running.parsed(code, output, errors)

    assert str(caught.value) == reason


def test_a_server_that_ends_at_once_is_missing_with_its_last_words() -> None:
    command = [sys.executable, "-c", "print('first'); print('no room')"]

    with (
        pytest.raises(MissingError, match="did not start: no room"),
        servers.serving(command, servers.free_port()),
    ):
        pass


def test_a_program_that_is_nowhere_is_missing() -> None:
    with pytest.raises(MissingError, match="no-such-program is neither installed nor on PATH"):
        servers.find("no_package", "bin/x", otherwise="no-such-program")


@pytest.mark.slow
@pytest.mark.service
@pytest.mark.parametrize(
    ("peer", "work"),
    [(peer, work) for peer in PEERS for work in peer.works],
    ids=lambda given: f"{given.name}-{given.store}" if isinstance(given, Peer) else given,
)
def test_a_peer_gives_its_figures(peer: Peer, work: str) -> None:
    if not running.PYTHON.exists():
        pytest.skip("./do bench --peers makes the environment of the peers")
    with servers.postgresql() as postgresql:
        runnable = {(p.name, p.store): p for p in catalog(lambda: postgresql)}

        values = running.measured(runnable[peer.name, peer.store], work, 3)

    assert all(value > 0 for value in values.values())
