"""The report: sections of figures as Markdown and plots. Pure functions, and one that writes the files."""

from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.measure import LIMIT, OURS, QUANTITIES, Missing, Result, gain
from benchmarks.plot import Bar, bars, number

TITLES = {
    "w1": "W1: many processes of three activities, one after the other",
    "w2": "W2: one process with many activities at once",
    "w3": "W3: one process of one activity at a time, with an idle worker",
    "w4": "W4: many processes that wait for a signal",
    "w5": "W5: one process of 2,000 activities, one after the other",
    "w6": "W6: as W1, with several worker OS processes on one store",
    "w7": "W7: a workflow as plain async code, decided and replayed",
}

PLOTTED = {"w1": ("rate", "rate_with_starts"), "w2": ("each",), "w3": ("median",)}
"""The quantities of the plots; where a system has the second one only, that is drawn."""

INTRODUCTION = f"""\
# Benchmarks

`./do bench --peers` measures all this anew and writes this page; `./do bench W1` measures one workload. Figures of different machines
cannot be compared, ratios of one run can: all that stands in one section was measured in turns. A figure is the median of its runs, a
ratio the median of the ratios of each turn; [`figures.json`](figures.json) has every run,
and [the profile](profile.md) says where the time goes.

Every process has an input of three fields, an activity does nothing and returns three fields, and pyworkflow's program is
[`work.py`](../../benchmarks/work.py). pyworkflow and what it is compared with on a disk flush every commit, unless a note says otherwise.

- *{LIMIT}*: the same rows and transactions without a framework: no leases that end, no timeouts, no retries, no classes
  ([`raw.py`](../../benchmarks/raw.py)). It is the limit of the store and the language.
- *peers*: other frameworks, each with a program as its own documentation writes it
  ([`peers/programs`](../../benchmarks/peers/programs)), in an OS process and on an empty store of its own for every run. Where
  starting a process also runs it, as in DBOS, the starts are in the time, and they are in pyworkflow's, too. *Times as good* is the
  ratio of both: above 1 pyworkflow is better, below 1 the peer.
"""


class PeerLine(Struct, frozen=True):
    """What a reader needs to know of a peer.

    Attributes:
        system: Its name.
        store: What it runs on.
        version: Which one was measured.
        count: Processes or activities in a run.
        note: What else.
        beside: pyworkflow's stores to compare with; the first that has a figure counts.
    """

    system: str
    store: str
    version: str
    count: int
    note: str
    beside: tuple[str, ...]


class Section(Struct, frozen=True):
    """A workload that was measured.

    Attributes:
        work: Its name in `TITLES`.
        date: When.
        machine: Where.
        size: How much of it, in words.
        results: The figures.
        peers: Who they are.
        missing: Who could not be measured.
    """

    work: str
    date: str
    machine: str
    size: str
    results: list[Result]
    peers: list[PeerLine] = []
    missing: list[Missing] = []

    def find(self, system: str, store: str, quantity: str) -> Result | None:
        """Return a figure, None if it was not measured."""
        wanted = (system, store, quantity)
        found = (r for r in self.results if (r.system, r.store, r.quantity) == wanted)
        return next(found, None)


def markdown(sections: list[Section]) -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for section in sorted(sections, key=lambda section: section.work):
        parts.append(f"## {TITLES[section.work]}\n")
        parts.append(f"{section.date}; {section.machine}; {section.size}.\n")
        if plot(section):
            parts.append(f"![{TITLES[section.work]}]({section.work}.svg)\n")
        parts.append(limits(section))
        if section.peers or section.missing:
            parts.append(comparison(section))
    return "\n".join(parts)


def limits(section: Section) -> str:
    """Return the table of pyworkflow's figures beside those of the hand-written loop."""
    lines = [
        f"| store | quantity | pyworkflow | {LIMIT} | share of the limit |",
        "|---|---|---:|---:|---:|",
    ]
    for ours in section.results:
        if ours.system == OURS:
            limit = section.find(LIMIT, ours.store, ours.quantity)
            quantity = QUANTITIES[ours.quantity]
            share = f"{gain(ours, limit):.2f}" if limit else "-"
            cells = [ours.store, quantity.text, number(ours.value)]
            lines.append(row(*cells, number(limit.value) if limit else "-", share))
    return "\n".join([*lines, ""])


def comparison(section: Section) -> str:
    """Return the table of the peers, and the list of those that are missing."""
    lines = [
        "| peer | its store | quantity | peer | pyworkflow | on | times as good | note |",
        "|---|---|---|---:|---:|---|---:|---|",
    ]
    for peer in section.peers:
        for theirs in section.results:
            if (theirs.system, theirs.store) == (peer.system, peer.store):
                lines.append(_compared(section, peer, theirs))
    for missing in section.missing:
        reason = escaped(missing.reason)
        lines.append(row(missing.system, missing.store, f"*not measured: {reason}*", *[""] * 5))
    return "\n".join([*lines, ""])


def _compared(section: Section, peer: PeerLine, theirs: Result) -> str:
    quantity = QUANTITIES[theirs.quantity]
    found = (section.find(OURS, store, theirs.quantity) for store in peer.beside)
    ours = next((result for result in found if result), None)
    mine = [number(ours.value), ours.store] if ours else ["-", "-"]
    times = number(gain(ours, theirs)) if ours else "-"
    note = ", ".join(filter(None, [f"{peer.count:,} a run", peer.note]))
    name = f"{peer.system} {peer.version}"
    return row(name, peer.store, quantity.text, number(theirs.value), *mine, times, note)


def row(*cells: str) -> str:
    """Return a line of a table."""
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """Return text that does not end a cell or a line."""
    return " ".join(text.split()).replace("|", "\\|")


def plot(section: Section) -> str | None:
    """Return the drawing of a workload, None if it has none."""
    quantities = [QUANTITIES[name] for name in PLOTTED.get(section.work, ())]
    rows = _bars(section)
    if not rows:
        return None
    rows.sort(key=lambda bar: bar.value, reverse=quantities[0].more_is_better)
    unit = quantities[0].text + (": more is better" if quantities[0].more_is_better else "")
    unit += "" if quantities[0].more_is_better else ": less is better"
    return bars(TITLES[section.work], unit, rows)


def _bars(section: Section) -> list[Bar]:
    drawn: dict[tuple[str, str], Bar] = {}
    kinds = {OURS: "ours", LIMIT: "limit"}
    for quantity in PLOTTED.get(section.work, ()):
        for result in section.results:
            if result.quantity == quantity:
                starts = " (with starts)" if quantity == "rate_with_starts" else ""
                label = f"{result.system}, {result.store}{starts}"
                kind = kinds.get(result.system, "peer")
                drawn.setdefault((result.system, result.store), Bar(label, result.value, kind))
    return list(drawn.values())


def publish(folder: Path, sections: list[Section]) -> None:
    """Write the page, the plots and the figures; a workload that was not measured this time keeps its section."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / "figures.json"
    kept: dict[str, Section] = {}
    if figures.exists():
        kept = msgspec.json.decode(figures.read_bytes(), type=dict[str, Section])
    kept.update({section.work: section for section in sections})
    ordered = [kept[work] for work in sorted(kept)]
    text = msgspec.json.format(msgspec.json.encode({s.work: s for s in ordered}), indent=1)
    figures.write_bytes(text + b"\n")
    (folder / "index.md").write_text(markdown(ordered), "utf-8")
    for section in ordered:
        drawing = plot(section)
        if drawing:
            (folder / f"{section.work}.svg").write_text(drawing, "utf-8")
