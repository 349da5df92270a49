"""Bad input: a typed error that names the culprit, and nothing changed."""

from typing import Any

import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.errors import InvalidRequestError, PayloadError
from pyworkflow.process import Process
from pyworkflow.testing.conformance.base import Contract


def nested(levels: int) -> Any:
    """Return a list of that many levels."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


class Limits(Contract):
    """The same value is accepted or refused by every backend."""

    @pytest.mark.parametrize(
        "value",
        [
            float("nan"),
            float("-inf"),
            "a\0b",
            {"\0": 1},
            "\ud800",
            {1: 2},
            2**63,
            {1, 2},
            b"bytes",
            object(),
            nested(101),
            "x" * 10_000_000,
        ],
        ids=lambda value: repr(value)[:12],
    )
    def test_what_is_no_json_is_refused(self, backend: Backend, value: Any) -> None:
        process_id = self.start(backend, id="p")

        with pytest.raises(PayloadError, match="input"):
            self.start(backend, input=value)
        with pytest.raises(PayloadError, match="data"):
            backend.signal_process(process_id, "x", value)

        assert [p.id for p in backend.processes()] == ["p"]
        assert len(backend.history(process_id)) == 1

    @pytest.mark.parametrize("name", ["", "a:b", "a/b", "a|b", "a\nb", "\x7f", "arn", "x" * 257, 7])
    def test_a_name_that_some_engine_cannot_carry_is_refused(
        self, backend: Backend, name: Any
    ) -> None:
        with pytest.raises(InvalidRequestError):
            backend.start_process(Process("order", id=name) if name else Process("", id="x"))
        with pytest.raises(InvalidRequestError):
            backend.register_workflow(name)

        assert backend.processes() == []

    @pytest.mark.parametrize("tags", [["a"] * 6, ["x" * 257], [""], ["a\0"]])
    def test_bad_tags_are_refused(self, backend: Backend, tags: list[str]) -> None:
        with pytest.raises(InvalidRequestError, match="tag"):
            self.start(backend, tags=tags)

    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "1", 10**12])
    def test_bad_timeouts_are_refused(self, backend: Backend, seconds: Any) -> None:
        with pytest.raises(InvalidRequestError):
            backend.register_workflow("w", timeout=seconds)
        with pytest.raises(InvalidRequestError):
            backend.register_activity("a", execution_timeout=seconds)

    def test_values_at_the_limits_are_taken(self, backend: Backend) -> None:
        value = [nested(99), -(2**63), 2**63 - 1, "x" * 1_000_000]
        process_id = self.start(backend, id="x" * 256, input=value, tags=["t" * 256] * 5)

        assert backend.process_by_id(process_id).input == value
