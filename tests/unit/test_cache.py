"""Caches that are bounded in bytes."""

from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.cache import SizedCache
from pyworkflow.decision import CompleteProcess
from pyworkflow.process import Process


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache: SizedCache[str, int] = SizedCache(100)
    cache.put("a", 1, 40)
    cache.put("b", 2, 40)
    assert cache.get("a") == 1

    assert cache.put("c", 3, 40) == [2]

    assert (cache.get("a"), cache.get("b"), cache.get("c"), cache.size) == (1, None, 3, 80)


def test_what_grows_is_counted_anew() -> None:
    cache: SizedCache[str, int] = SizedCache(100)
    cache.put("a", 1, 40)
    cache.put("b", 2, 40)

    assert cache.put("a", 1, 90) == [2]
    assert cache.size == 90


def test_what_is_too_large_stays_until_something_else_is_used() -> None:
    cache: SizedCache[str, int] = SizedCache(100)

    assert cache.put("large", 1, 500) == []
    assert cache.get("large") == 1
    assert cache.put("small", 2, 10) == [1]
    assert cache.size == 10


def test_without_a_limit_nothing_is_kept() -> None:
    cache: SizedCache[str, int] = SizedCache(0)

    assert cache.put("a", 1, 10) == [1]
    assert (len(cache), cache.size) == (0, 0)


def test_a_process_that_has_closed_leaves_the_cache_at_once() -> None:
    with MemoryBackend() as backend:
        backend.register_workflow("w")
        backend.start_process(Process("w", "p", "x" * 1000))
        task = backend.poll_decision_task()
        assert task is not None
        assert backend._histories._known.size > 1000

        backend.complete_decision_task(task, CompleteProcess())

        assert backend._histories._known.size == 0
        assert len(backend.history("p")) == 3
        assert backend._histories._known.size == 0
