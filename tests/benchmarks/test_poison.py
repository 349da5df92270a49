"""The benchmark of harmful processes runs, tiny: so that it never rots."""

import pytest

from benchmarks.poison import main


def test_each_store_and_pool_gives_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--processes=12", "--every=6", "--seconds=0", "--stores=sqlite", "--pools=thread"])

    _, line = capsys.readouterr().out.splitlines()
    store, pool, *figures = line.split()
    assert (store, pool) == ("SQLite", "thread")
    assert all(float(figure) >= 0 for figure in figures)
