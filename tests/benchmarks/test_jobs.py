"""The benchmark of jobs, tiny."""

from benchmarks.jobs import measure


def test_a_job_of_naps_takes_longer_than_the_naps() -> None:
    figures = measure(4, 2, 0.01)

    assert figures.ideal == 0.02
    assert figures.ratio > 1
    assert figures.cpu > 0
