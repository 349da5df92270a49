"""Every workload runs on every store, tiny: so that the benchmarks never rot."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.bench import Bench
from benchmarks.measure import LIMIT, OURS, QUANTITIES, Values
from benchmarks.report import TITLES
from benchmarks.stores import STORES, Store

QUANTITIES_OF_OURS = {
    "w1": {"rate", "rate_with_starts", "cpu"},
    "w2": {"each", "growth"},
    "w3": {"median", "p99"},
    "w4": {"starts", "signals", "memory"},
    "w5": {"step", "late"},
    "w6": {"crew_1", "crew_2", "crew_4"},
    "w7": {"step", "late"},
}


@pytest.mark.parametrize("store", STORES, ids=lambda store: store.name)
@pytest.mark.parametrize("work", TITLES)
def test_a_workload_gives_its_figures(work: str, store: Store) -> None:
    bench = Bench([store], [], count=4, crowds=[8], long=30)

    taken = [(one, one.run()) for one in bench.contestants(work)]

    for _, values in taken:
        assert values
        assert values.keys() <= QUANTITIES.keys()
        assert all(value > 0 for value in values.values())
    ours = [values for one, values in taken if (one.system, one.store) == (OURS, store.name)]
    if work == "w6" and not store.is_shared:
        assert not ours
    else:
        assert QUANTITIES_OF_OURS[work] <= ours[0].keys()
    if work in ("w1", "w2", "w4"):
        assert any(one.system == LIMIT for one, _ in taken) == bool(store.raw)


def test_a_crowd_is_measured_where_there_is_a_disk() -> None:
    bench = Bench(STORES, [], count=4, crowds=[8])

    crowds = [one for one in bench.contestants("w4") if "open" in one.store]

    assert [one.store for one in crowds] == ["SQLite, 8 open", "PostgreSQL, 8 open"]
    for crowd in crowds:
        assert_whole(crowd.run())
        # It takes minutes at its full size, so that it is not repeated.
        assert crowd.run() == {}


def assert_whole(values: Values) -> None:
    """A crowd has all its figures."""
    assert values.keys() == {
        "starts",
        "decisions",
        "disk",
        "signals",
        "rss",
        "claim_p99",
        "page",
        "page_p99",
    }
    assert all(value > 0 for value in values.values())


def test_the_command_writes_a_page_with_a_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["W3", "--stores=memory", "--processes=3", "--repeat=1", f"--out={tmp_path}"])

    page = (tmp_path / "index.md").read_text("utf-8")
    assert capsys.readouterr().out.strip() == page.strip()
    assert "![W3" in page
    assert {path.name for path in tmp_path.iterdir()} == {"index.md", "w3.svg", "figures.json"}


def test_the_command_refuses_a_workload_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["W9"])

    assert "no workload 'w9'; there are: w1, w2" in capsys.readouterr().err
