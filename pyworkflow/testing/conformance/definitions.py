"""The log of definitions, and starts of several processes together."""

from threading import Barrier, Thread

import pytest

from pyworkflow.backend.base import Backend, Capability, Definition
from pyworkflow.errors import (
    InvalidRequestError,
    PayloadError,
    ProcessAlreadyExistsError,
    UnknownWorkflowError,
)
from pyworkflow.process import Process, Status
from pyworkflow.testing.conformance.base import Contract


class Definitions(Contract):
    """What is given as data, and kept by name."""

    def test_definitions_are_returned_in_the_order_in_which_they_came(
        self, backend: Backend
    ) -> None:
        self.requires(backend, Capability.DEFINITIONS)
        assert backend.definitions() == []

        first = backend.define("service", "upper", {"address": "http://a/", "zero": 0})
        backend.define("service", "upper", {"address": "http://b/"})
        backend.define("workflow", "upper", ["upper", "é"])
        last = backend.define("service", "upper", None)

        found = backend.definitions()
        assert [(d.kind, d.name, d.body) for d in found] == [
            ("service", "upper", {"address": "http://a/", "zero": 0}),
            ("service", "upper", {"address": "http://b/"}),
            ("workflow", "upper", ["upper", "é"]),
            ("service", "upper", None),
        ]
        assert found[0] == first
        assert found[-1] == last
        revisions = [d.revision for d in found]
        assert revisions == sorted(set(revisions))
        assert min(revisions) > 0
        assert all(d.defined.tzinfo is not None for d in found)

    def test_a_reader_goes_on_from_the_revision_it_has_seen(self, backend: Backend) -> None:
        self.requires(backend, Capability.DEFINITIONS)
        seen = backend.define("service", "a", 1).revision

        assert backend.definitions(seen) == []
        newer = backend.define("service", "b", 2)
        assert backend.definitions(seen) == [newer]
        assert backend.definitions(newer.revision + 1000) == []

    def test_readers_miss_nothing_of_what_many_define_at_a_time(self, backend: Backend) -> None:
        self.requires(backend, Capability.DEFINITIONS)
        together = Barrier(5)

        def define(number: int) -> None:
            together.wait()
            for count in range(10):
                backend.define("service", f"s{number}", count)

        threads = [Thread(target=define, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        together.wait()
        read: list[Definition] = []
        while any(thread.is_alive() for thread in threads):
            read += backend.definitions(read[-1].revision if read else 0)
        for thread in threads:
            thread.join()
        read += backend.definitions(read[-1].revision if read else 0)

        assert read == backend.definitions()
        for number in range(4):
            assert [d.body for d in read if d.name == f"s{number}"] == list(range(10))

    @pytest.mark.parametrize(("kind", "name"), [("", "a"), ("service", ""), ("service", "a/b")])
    def test_what_has_no_acceptable_name_is_not_defined(
        self, backend: Backend, kind: str, name: str
    ) -> None:
        self.requires(backend, Capability.DEFINITIONS)
        with pytest.raises(InvalidRequestError):
            backend.define(kind, name, 1)
        with pytest.raises(PayloadError):
            backend.define("service", "a", float("nan"))
        assert backend.definitions() == []

    def test_processes_start_together_and_each_stands_alone(self, backend: Backend) -> None:
        self.start(backend, id="taken", input=1)
        wanted = [
            Process("order", "one", {"n": 0}, ["t"]),
            Process("nobody", "two"),
            Process("order", "a:b"),
            Process("order", "taken", 2),
            Process("order", "one", {"n": 0}, ["t"]),
            Process("order"),
        ]

        one, two, three, four, again, new = backend.start_processes(wanted)

        assert isinstance(one, Process)
        assert (one.id, one.input, one.tags, one.status) == ("one", {"n": 0}, ("t",), Status.OPEN)
        assert one.started is not None
        assert isinstance(two, UnknownWorkflowError)
        assert isinstance(three, InvalidRequestError)
        assert isinstance(four, ProcessAlreadyExistsError)
        assert isinstance(again, Process)
        assert again.started == one.started
        assert isinstance(new, Process)
        assert new.id
        ids = {p.id for p in backend.processes()}
        assert ids == {"taken", "one", new.id}
