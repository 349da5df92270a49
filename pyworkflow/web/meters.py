"""Figures about this server, and the text form of Prometheus."""

from collections import Counter
from collections.abc import Iterable
from threading import Lock

from pyworkflow.backend.base import FeedEntry

Labels = dict[str, str]
Sample = tuple[str, Labels, float]

BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
"""Upper bounds, in seconds, of the groups that requests are counted in."""


class Family:
    """A metric: a name, what it means, and its samples.

    Args:
        name: The name.
        kind: ``counter``, ``gauge`` or ``histogram``.
        told: What it means.
        samples: Name suffix, labels and value of each sample.
    """

    def __init__(self, name: str, kind: str, told: str, samples: Iterable[Sample]) -> None:
        self.name = name
        self.kind = kind
        self.told = told
        self.samples = list(samples)

    def text(self) -> str:
        """Return the metric in Prometheus's text form."""
        lines = [f"# HELP {self.name} {self.told}", f"# TYPE {self.name} {self.kind}"]
        for suffix, labels, value in self.samples:
            told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            lines.append(f"{self.name}{suffix}{'{' + told + '}' if told else ''} {value:.17g}")
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Meters:
    """Counts requests and events since the server was started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[float] = Counter()
        self._seconds = 0.0
        self._events: Counter[tuple[str, str]] = Counter()

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        with self._lock:
            self._requests[method, route, status] += 1
            self._seconds += seconds
            for bound in BUCKETS:
                self._buckets[bound] += seconds <= bound

    def count_event(self, entry: FeedEntry) -> None:
        """Count an entry of the feed."""
        with self._lock:
            self._events[entry.workflow, entry.event.type] += 1

    def families(self) -> list[Family]:
        """Return the metrics."""
        with self._lock:
            requests, events = dict(self._requests), dict(self._events)
            buckets, seconds = dict(self._buckets), self._seconds
        total = sum(requests.values())
        told: list[Sample] = [
            ("_bucket", {"le": f"{bound:g}"}, buckets.get(bound, 0)) for bound in BUCKETS
        ]
        told += [("_bucket", {"le": "+Inf"}, total), ("_sum", {}, seconds), ("_count", {}, total)]
        return [
            Family(
                "pyworkflow_http_requests_total",
                "counter",
                "Requests that were answered.",
                (
                    ("", {"method": method, "route": route, "status": str(status)}, count)
                    for (method, route, status), count in sorted(requests.items())
                ),
            ),
            Family(
                "pyworkflow_http_request_seconds",
                "histogram",
                "Seconds until an answer was begun.",
                told,
            ),
            Family(
                "pyworkflow_events_total",
                "counter",
                "Events recorded since this server was started.",
                (
                    ("", {"workflow": workflow, "type": kind}, count)
                    for (workflow, kind), count in sorted(events.items())
                ),
            ),
        ]
