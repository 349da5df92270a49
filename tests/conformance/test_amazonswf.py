"""The contract on Amazon SWF, as far as moto's server goes; ``tests/unit/test_amazonswf_contract.py`` has what it cannot do."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from pyworkflow.backend.amazonswf import AmazonSWFBackend
from pyworkflow.backend.base import Backend, Capability
from pyworkflow.payloads import FolderStore
from pyworkflow.result import ActivityCanceled
from pyworkflow.testing import conformance
from tests.moto_server import make_client, serving

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

MISSING = frozenset(
    {
        Capability.CANCEL_REQUEST,
        Capability.CHILDREN,
        Capability.CONTINUE,
        Capability.EXTERNAL,
        Capability.LAMBDA,
    }
)
"""What Amazon SWF has and moto has not."""


LACKS = {
    "test_a_closing_decision_never_buries_an_unseen_signal": "SWF tells of it by an event, moto not at all",
    "test_a_waiting_activity_is_canceled_at_once": "moto has no RequestCancelActivityTask",
    "test_an_open_activity_id_is_not_taken_twice": "moto never lets an activity id be used again",
    "test_canceling_closes_a_process_that_does_not_handle_it": "moto has no RequestCancelWorkflowExecution",
    "test_closed_processes_are_found": "moto's closeStatusFilter finds nothing",
    "test_every_result_reaches_the_decider": "moto has no RespondActivityTaskCanceled",
    "test_lists_are_filtered_and_come_in_pages": "moto fails on a typeFilter without version, and on reverseOrder",
    "test_every_filter_goes_with_every_other": "moto fails on a typeFilter without version",
    "test_the_newest_come_first_on_wish": "moto fails on a typeFilter without version",
    "test_unknown_ids_are_told": "moto has no RequestCancelWorkflowExecution",
}
"""Tests that moto cannot pass, and why. Each has a counterpart in ``tests/unit/test_amazonswf_contract.py``."""


@pytest.fixture(autouse=True)
def _moto_can(request: pytest.FixtureRequest) -> None:
    name = request.node.originalname
    if name == "test_every_result_reaches_the_decider":
        result = request.node.callspec.params["result"]
        if not isinstance(result, ActivityCanceled):
            return
    if name in LACKS:
        pytest.skip(LACKS[name])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def clock() -> None:
    """SWF has its own."""


@pytest.fixture
def backend(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path) -> Iterator[Backend]:
    # One server for all tests, a domain for each.
    domain = sha256(request.node.nodeid.encode()).hexdigest()
    swf = AmazonSWFBackend(client=make_client(endpoint), domain=domain, blobs=FolderStore(tmp_path))
    swf.capabilities -= MISSING
    swf.register_domain()
    with swf:
        yield swf


class TestActivities(conformance.Activities): ...


class TestChildren(conformance.Children): ...


class TestClaims(conformance.Claims): ...


class TestDecisions(conformance.Decisions): ...


class TestDefinitions(conformance.Definitions): ...


class TestLeases(conformance.Leases): ...


class TestLimits(conformance.Limits): ...


class TestProcesses(conformance.Processes): ...


class TestQueries(conformance.Queries): ...


class TestSignals(conformance.Signals): ...


class TestSuspects(conformance.Suspects): ...


class TestThreads(conformance.Threads): ...


class TestTimeouts(conformance.Timeouts): ...
