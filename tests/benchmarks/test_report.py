"""The tables and the plots, as pure functions of figures."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.measure import LIMIT, OURS, Missing, Result
from benchmarks.plot import Bar, bars, number
from benchmarks.report import PeerLine, Section, comparison, limits, markdown, plot, publish

SVG = "{http://www.w3.org/2000/svg}"


def peer(system: str, store: str, *beside: str, note: str = "") -> PeerLine:
    return PeerLine(system=system, store=store, version="3.1", count=100, note=note, beside=beside)


def section(work: str = "w1", machine: str = "a machine") -> Section:
    return Section(
        work=work,
        date="2026-01-02",
        machine=machine,
        size="100 processes",
        results=[
            Result(OURS, "sqlite", "rate", [900, 1000, 5000]),
            Result(OURS, "sqlite", "rate_with_starts", [800]),
            Result(LIMIT, "sqlite", "rate", [4000]),
            Result("Fast", "SQLite", "rate", [2000]),
            Result("Slow", "PostgreSQL", "rate_with_starts", [10]),
        ],
        peers=[
            peer("Fast", "SQLite", "sqlite", note="no history"),
            peer("Slow", "PostgreSQL", "postgresql", "sqlite"),
        ],
        missing=[Missing("Gone", "Redis", "no such\nprogram | at all")],
    )


def test_the_table_has_the_share_of_the_limit() -> None:
    assert limits(section()).splitlines() == [
        "| store | quantity | pyworkflow | hand-written loop | share of the limit |",
        "|---|---|---:|---:|---:|",
        "| sqlite | processes/s | 1,000 | 4,000 | 0.25 |",
        "| sqlite | processes/s, starts included | 800 | - | - |",
    ]


def test_a_peer_is_compared_by_the_same_quantity_on_the_nearest_store_that_was_measured() -> None:
    fast, slow = comparison(section()).splitlines()[2:4]

    assert fast == (
        "| Fast 3.1 | SQLite | processes/s | 2,000 | 1,000 | sqlite | 0.5 | 100 a run, no history |"
    )
    assert slow == (
        "| Slow 3.1 | PostgreSQL | processes/s, starts included | 10 | 800 | sqlite | 80 | 100 a run |"
    )


def test_a_peer_that_is_missing_is_named_with_the_reason() -> None:
    last = comparison(section()).splitlines()[-1]

    assert last.startswith("| Gone | Redis | *not measured: no such program \\| at all* |")


def test_all_lines_of_a_table_have_as_many_cells() -> None:
    lines = comparison(section()).splitlines()

    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_a_page_says_when_and_where_it_was_measured() -> None:
    page = markdown([section("w2"), section("w1")])

    assert "2026-01-02; a machine; 100 processes." in page
    assert page.index("## W1") < page.index("## W2")
    assert "![W1" in page


def test_a_workload_that_is_not_measured_again_keeps_its_section(tmp_path: Path) -> None:
    publish(tmp_path, [section("w1", "old"), section("w5", "old")])
    publish(tmp_path, [section("w1", "new")])

    page = (tmp_path / "index.md").read_text("utf-8")
    assert page.index("new") < page.index("## W5") < page.index("old")
    assert (tmp_path / "w1.svg").exists()
    assert not (tmp_path / "w5.svg").exists()


def test_a_plot_has_a_bar_for_each_system_the_best_first() -> None:
    drawing = ElementTree.fromstring(plot(section()) or "")

    labels = [text.text for text in drawing.iter(f"{SVG}text") if text.get("text-anchor") == "end"]
    widths = [float(r.get("width", 0)) for r in drawing.iter(f"{SVG}rect")][1:]
    assert labels == [
        "hand-written loop, sqlite",
        "Fast, SQLite",
        "pyworkflow, sqlite",
        "Slow, PostgreSQL (with starts)",
    ]
    assert widths == sorted(widths, reverse=True)
    assert min(widths) > 0


def test_a_workload_without_a_plot_has_none() -> None:
    assert plot(section("w6")) is None


@pytest.mark.parametrize("values", [[1.0], [10.0, 10.0], [0.004, 70_000.0], [100.0, 1.0]])
def test_bars_stay_on_the_paper(values: list[float]) -> None:
    rows = [Bar("<a & b>", value, "peer") for value in values]

    drawing = ElementTree.fromstring(bars("a <title>", "ms & more", rows))

    paper, *drawn = drawing.iter(f"{SVG}rect")
    for rect in drawn:
        end = float(rect.get("x", 0)) + float(rect.get("width", 0))
        assert float(rect.get("x", 0)) < end < float(paper.get("width", 0))
    assert "<a & b>" in {text.text for text in drawing.iter(f"{SVG}text")}


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (100.0, "100"), (99.94, "99.9"), (3.0, "3"), (0.0123456, "0.0123")],
)
def test_a_number_has_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
