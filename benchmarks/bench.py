"""Which contestants each workload has."""

from collections.abc import Callable, Iterator

from benchmarks import replayed, workloads
from benchmarks.crowd import large_crowd
from benchmarks.measure import LIMIT, OURS, Contestant, Values
from benchmarks.peers import running
from benchmarks.peers.catalog import NO_STORE, Peer
from benchmarks.stores import Store
from benchmarks.work import order

LONG = 2_000
"""Activities of W5's process: 10,000 events."""


class Bench:
    """Knows the contestants.

    Args:
        stores: pyworkflow's stores.
        peers: Who else takes part in W1, W2 and W3.
        count: Processes of W1 and W6, activities of W2; a third of it are the processes of W3, five times as many those of W4.
        crowds: Further sizes of W4, on stores with a disk.
        long: Activities of W5.
    """

    def __init__(
        self,
        stores: list[Store],
        peers: list[Peer],
        count: int,
        crowds: list[int],
        long: int = LONG,
    ) -> None:
        self.stores = stores
        self.peers = peers
        self.count = count
        self.crowds = crowds
        self.long = long

    def contestants(self, work: str) -> Iterator[Contestant]:
        """Return who takes part in a workload."""
        ours: Callable[[Store], Iterator[Contestant]] = getattr(self, work)
        for store in self.stores:
            yield from ours(store)
        for peer in self.peers:
            if work in peer.works:
                yield Contestant(peer.name, peer.store, self._peer(peer, work))

    def _peer(self, peer: Peer, work: str) -> Callable[[], Values]:
        return lambda: running.measured(peer, work, self.peer_count(peer, work))

    def peer_count(self, peer: Peer, work: str) -> int:
        """Return how many processes or activities a peer does in a run."""
        if work == "w7":
            return self.replayed
        return min(peer.most, max(self.count // 10, 2) if work == "w3" else self.count)

    def size(self, work: str) -> str:
        """Return how much is done in a run, in words."""
        latencies = max(self.count // 3, 2)
        sizes = {
            "w1": f"{self.count:,} processes",
            "w2": f"{self.count:,} activities",
            "w3": f"{latencies:,} processes",
            "w4": f"{self.count * 5:,} open processes; larger crowds, named with their store, once",
            "w5": f"{self.long:,} activities",
            "w6": f"{self.count:,} processes",
            "w7": f"{self.long:,} activities, {self.replayed:,} to replay; {self.count:,} at once",
        }
        return sizes[work]

    @property
    def replayed(self) -> int:
        """How many activities the histories have that are replayed."""
        return 5 * self.long // replayed.EVENTS_EACH

    def w1(self, store: Store) -> Iterator[Contestant]:
        """Many processes of three activities."""
        many = [order(number) for number in range(self.count)]

        def ours() -> Values:
            spent = workloads.drained(store, many)
            cpu = spent.cpu / (3 * self.count) * 1000
            both = workloads.started_and_drained(store, many)
            rate = self.count / spent.seconds
            return {"rate": rate, "rate_with_starts": self.count / both, "cpu": cpu}

        yield Contestant(OURS, store.name, ours)
        if store.raw:
            yield Contestant(
                LIMIT,
                store.name,
                lambda: {"rate": self.count / workloads.drained_raw(store, many)},
            )

    def w2(self, store: Store) -> Iterator[Contestant]:
        """One process with many activities at once."""
        fan, wide = [order(1, fan=self.count)], [order(1, fan=self.count * 10)]

        def ours() -> Values:
            each = workloads.drained(store, fan).seconds / self.count * 1e6
            each_of_many = workloads.drained(store, wide).seconds / self.count * 1e5
            return {"each": each, "growth": each_of_many / each}

        yield Contestant(OURS, store.name, ours)
        if store.raw:
            yield Contestant(
                LIMIT,
                store.name,
                lambda: {"each": workloads.drained_raw(store, fan) / self.count * 1e6},
            )

    def w3(self, store: Store) -> Iterator[Contestant]:
        """One process at a time."""

        def figures(took: tuple[float, float]) -> Values:
            return {"median": took[0] * 1e3, "p99": took[1] * 1e3}

        count = max(self.count // 3, 2)
        yield Contestant(OURS, store.name, lambda: figures(workloads.latencies(store, count)))
        if store.raw:
            yield Contestant(
                LIMIT, store.name, lambda: figures(workloads.latencies_raw(store, count))
            )

    def w4(self, store: Store) -> Iterator[Contestant]:
        """A crowd that waits for a signal."""
        count = self.count * 5

        def figures(crowd: workloads.Crowd) -> Values:
            values = {"starts": crowd.starts, "signals": crowd.signals}
            return {**values, "disk": crowd.bytes_each} if crowd.bytes_each else values

        def ours() -> Values:
            memory = workloads.memory_each(store, self.count)
            return {**figures(workloads.crowd(store, count)), "memory": memory}

        yield Contestant(OURS, store.name, ours)
        if store.raw:
            yield Contestant(LIMIT, store.name, lambda: figures(workloads.crowd_raw(store, count)))
        for size in self.crowds if store.is_shared else ():
            yield Contestant(OURS, f"{store.name}, {size:,} open", once(store, size))

    def w5(self, store: Store) -> Iterator[Contestant]:
        """One long process."""

        def ours() -> Values:
            first, last = workloads.long_process(store, self.long)
            return {"step": first * 1e6, "late": last / first}

        yield Contestant(OURS, store.name, ours)

    def w6(self, store: Store) -> Iterator[Contestant]:
        """Many OS processes on one store."""
        if store.is_shared:
            yield Contestant(
                OURS,
                store.name,
                lambda: {
                    f"crew_{crew}": workloads.shared(store, self.count, crew) for crew in (1, 2, 4)
                },
            )

    def w7(self, store: Store) -> Iterator[Contestant]:
        """Workflows as plain async code."""

        def ours() -> Values:
            first, last = replayed.stored(store, self.long)
            return {"step": first * 1e6, "late": last / first}

        def alone() -> Values:
            early, late, whole = replayed.chain(self.replayed)
            fan, wide = replayed.fan(self.count), replayed.fan(10 * self.count)
            return {
                "decision": early * 1e6,
                "late_decision": late / early,
                "replay": whole * 1e3,
                "gathered": fan * 1e6,
                "gathered_growth": wide / fan,
            }

        yield Contestant(OURS, store.name, ours)
        if not store.is_shared:
            yield Contestant(OURS, NO_STORE, alone)


def once(store: Store, size: int) -> Callable[[], Values]:
    """Return a measurement that is done once, however often it is asked for: it takes minutes, and is a median of thousands itself."""
    taken: list[Values] = []

    def measure() -> Values:
        if taken:
            return {}
        taken.append(large_crowd(store, size))
        return taken[0]

    return measure
