"""``./do bench``: W1 to W7 on every store, beside the hand-written loop and, with ``--peers``, beside other frameworks, in turns."""

import argparse
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from benchmarks import servers
from benchmarks.bench import Bench
from benchmarks.measure import Missing, in_turns, machine
from benchmarks.peers import running
from benchmarks.peers.catalog import Peer, catalog
from benchmarks.report import TITLES, PeerLine, Section, markdown, publish
from benchmarks.servers import ROOT, MissingError, PostgreSQL
from benchmarks.stores import STORES

CROWD, SLOW_CROWD = 100_000, 1_000_000


def arguments(given: list[str]) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="./do bench", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="W", help="W1 to W7; all if left out")
    parser.add_argument("--peers", action="store_true", help="measure other frameworks, too")
    parser.add_argument("--only", action="append", metavar="PEER", help="of the peers, only this")
    parser.add_argument("--stores", help="of our stores, only these; by commas")
    parser.add_argument("--processes", type=int, default=1000, help="the size; %(default)s")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; %(default)s")
    parser.add_argument("--slow", action="store_true", help="W4 with a million open processes")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks", help="the folder")
    options = parser.parse_args(given)
    options.works = [work.lower() for work in options.works] or list(TITLES)
    for work in options.works:
        if work not in TITLES:
            parser.error(f"no workload {work!r}; there are: {', '.join(TITLES)}")
    return options


def available(peers: list[Peer]) -> tuple[dict[Peer, str], list[Missing]]:
    """Return the peers that are installed, each with its version, and those that are not."""
    versions: dict[Peer, str] = {}
    missing = []
    for peer in peers:
        try:
            versions[peer] = running.version(peer)
        except MissingError as error:
            missing.append(Missing(peer.name, peer.store, str(error)))
    return versions, missing


def main(given: list[str] | None = None) -> None:
    """Measure, print the report, and write it."""
    options = arguments(sys.argv[1:] if given is None else given)
    with ExitStack() as stack:

        @cache
        def postgresql() -> PostgreSQL:
            return stack.enter_context(servers.postgresql())

        peers = catalog(postgresql) if options.peers else []
        if options.only:
            peers = [peer for peer in peers if peer.name in options.only]
        versions, _ = available(peers)
        crowds = [CROWD, SLOW_CROWD] if options.slow else [CROWD]
        # A run that is smaller than usual is there to try the benchmarks, not the store.
        crowds = crowds if options.processes >= 1000 else []
        stores = [
            s
            for s in STORES
            if not options.stores or s.name.lower() in options.stores.lower().split(",")
        ]
        bench = Bench(stores, list(versions), options.processes, crowds)
        sections = []
        for work in options.works:
            _, absent = available([peer for peer in peers if work in peer.works])
            sections.append(measured(bench, work, options.repeat, versions, absent))
    print(markdown(sections))
    publish(options.out, sections)


def measured(
    bench: Bench, work: str, repeat: int, versions: dict[Peer, str], absent: list[Missing]
) -> Section:
    """Measure one workload."""
    print(TITLES[work], file=sys.stderr, flush=True)
    contestants = bench.contestants(work)
    results, failed = in_turns(contestants, repeat, may_fail=(MissingError,), log=sys.stderr)
    lines = [
        PeerLine(
            system=peer.name,
            store=peer.store,
            version=number,
            count=bench.peer_count(peer, work),
            note=peer.note,
            beside=peer.beside,
        )
        for peer, number in versions.items()
        if work in peer.works
    ]
    return Section(
        work=work,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=machine(),
        size=f"{bench.size(work)}; {'one run' if repeat == 1 else f'medians of {repeat} runs'}",
        results=results,
        peers=lines,
        missing=[*absent, *failed],
    )


if __name__ == "__main__":
    # So that the servers and folders of a run that is ended from outside go with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main()
