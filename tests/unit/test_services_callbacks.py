"""Tokens of callbacks: nobody else makes one, one counts once, for its attempt, and until it ends."""

import ast
import inspect
import secrets
from typing import Any

import pytest

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.base import Poll
from pyworkflow.errors import BackendUnavailableError, StaleTaskError
from pyworkflow.services import CallbackError, MismatchError, Services, callback
from pyworkflow.services.callback import Callbacks
from pyworkflow.task import ActivityTask
from pyworkflow.testing.clock import FakeClock
from tests.services_kit import INTEGER, STRING, Call, Listener, World, listening

URL = "https://flows.example.org/base"
TASK = ActivityTask(
    ActivityExecution("services.call", "upper#1.1"), "p1", {"number": 7, "token": "ab" * 16}
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def callbacks(clock: FakeClock) -> Callbacks:
    return Callbacks(secrets.token_bytes(32), clock, URL)


def test_a_token_stands_for_its_task(callbacks: Callbacks) -> None:
    found = callbacks.task(callbacks.token(TASK, 60))

    assert found.process_id == "p1"
    assert found.context == TASK.context
    assert found.activity_execution.id == "upper#1.1"
    address = callbacks.address(TASK, 60)
    assert address is not None
    assert address.startswith(f"{URL}/callbacks/")


def test_a_token_with_any_bit_changed_is_refused(callbacks: Callbacks) -> None:
    token = callbacks.token(TASK, 60)
    for place in range(len(token)):
        for bit in range(7):
            changed = token[:place] + chr(ord(token[place]) ^ (1 << bit)) + token[place + 1 :]
            with pytest.raises(CallbackError):
                callbacks.task(changed)


def test_tokens_that_were_never_made_are_refused(callbacks: Callbacks, clock: FakeClock) -> None:
    told, _, signature = callbacks.token(TASK, 60).partition(".")
    random_ones = (secrets.token_urlsafe(32) for _ in range(20_000))
    guesses = [f"{told}.{guess}" for guess in random_ones]
    guesses += ["", ".", told, f"{told}.", f".{signature}", f"{told}.{signature}.x", "é.é"]
    guesses += [f"{told}=.{signature}", f"{told}.{signature}=", "x" * 10_000]
    guesses.append(Callbacks(b"another key of another store......", clock, None).token(TASK, 60))
    for guess in guesses:
        with pytest.raises(CallbackError):
            callbacks.task(guess)


def test_a_token_ends(callbacks: Callbacks, clock: FakeClock) -> None:
    token = callbacks.token(TASK, 60)
    clock.advance(59)
    callbacks.task(token)
    clock.advance(3)

    with pytest.raises(CallbackError, match="too late"):
        callbacks.task(token)


def test_signatures_are_compared_in_constant_time() -> None:
    tree = ast.parse(inspect.getsource(callback))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    compared = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and "signature" in ast.unparse(node).lower()
    ]

    assert "compare_digest" in names
    assert compared == []


# -- whole calls -------------------------------------------------------------------------------------------------------------------


def token_of(call: Call) -> str:
    address = call.headers["callback-url"]
    assert address.startswith(f"{URL}/callbacks/")
    return address.rpartition("/")[2]


def later(world: World, listener: Listener, **more: Any) -> str:
    """Send an event to a workflow of one service that answers 202; return its id."""
    spec = {"inputs": {"message": STRING}, "outputs": {"count": INTEGER}}
    world.service("slow", listener.address, spec=spec, **more)
    world.workflow("flow", ["slow"], outputs={"count": INTEGER})
    event = world.send("flow", {"message": "a b"})
    world.runner.work()
    return event


@pytest.fixture
def world() -> World:
    return World(callback_url=URL)


def test_a_service_finishes_later_and_once(world: World) -> None:
    with listening((202, {})) as slow:
        event = later(world, slow)
        assert world.services.view(event).services[0].status == "running"
        token = token_of(slow.calls[0])

        assert world.services.finish(token, {"count": 1, "more": 2}, None) == "slow"
        for _ in range(2):
            with pytest.raises(StaleTaskError):
                world.services.finish(token, {"count": 5}, None)

    assert world.finish(event).outputs == {"count": 1}
    with pytest.raises(StaleTaskError):
        world.services.finish(token, {"count": 5}, None)
    assert world.services.view(event).outputs == {"count": 1}
    assert len(slow.calls) == 1


def test_a_wrong_callback_changes_nothing_and_may_be_mended(world: World) -> None:
    with listening((202, {})) as slow:
        event = later(world, slow)
        token = token_of(slow.calls[0])
        for data, error, field in [
            ({}, None, "data.count"),
            ({"count": "1"}, None, "data.count"),
            (None, None, "data"),
            ({"count": 1}, "and an error", "data"),
        ]:
            with pytest.raises(MismatchError) as caught:
                world.services.finish(token, data, error)
            assert caught.value.field == field
        world.services.finish(token, {"count": 1}, None)

    assert world.finish(event).outputs == {"count": 1}


def test_a_service_can_call_back_that_it_failed(world: World) -> None:
    with listening((202, {})) as slow:
        event = later(world, slow)
        world.services.finish(token_of(slow.calls[0]), None, "no paper left")

    seen = world.finish(event)

    assert seen.status == "failed"
    assert seen.reason == "step 'slow' failed: service 'slow' called back: no paper left"


def test_the_token_of_an_attempt_is_none_of_the_next(world: World) -> None:
    world.service("slow", "http://127.0.0.1:1/", spec={"outputs": {"count": INTEGER}})
    world.workflow("flow", ["slow"])
    event = world.send("flow", {})
    decider = world.runner.workers[0]
    decider()

    def leased() -> ActivityTask:
        poll = Poll(ActivityTask, "services", lease=10)
        [task] = world.backend.turn(polls=[poll]).tasks
        assert isinstance(task, ActivityTask)
        return task

    first = leased()
    token = world.services.callbacks.token(first, 3600)
    # The worker is not heard of any more.
    world.clock.advance(11)
    second = leased()

    assert (first.attempt, second.attempt) == (1, 2)
    with pytest.raises(StaleTaskError):
        world.services.finish(token, {"count": 9}, None)
    world.services.finish(world.services.callbacks.token(second, 3600), {"count": 2}, None)
    assert world.finish(event).outputs == {"count": 2}


def test_who_does_not_call_back_in_time_is_called_again_with_the_same_key(world: World) -> None:
    with listening((202, {})) as slow:
        event = later(world, slow, callback_timeout=30, retry={"max_attempts": 2, "initial": 1})
        while len(slow.calls) < 2:
            world.clock.advance(30)
            world.runner.work()
        first, second = map(token_of, slow.calls)

        assert slow.header("Idempotency-Key") == [f"{event}/slow"] * 2
        with pytest.raises(CallbackError, match="too late"):
            world.services.finish(first, {"count": 9}, None)
        world.services.finish(second, {"count": 2}, None)

    assert world.finish(event).outputs == {"count": 2}


def test_a_callback_while_the_store_is_away_may_be_tried_again(world: World) -> None:
    with listening((202, {})) as slow:
        later(world, slow)
        token = token_of(slow.calls[0])
    world.backend.close()

    with pytest.raises(BackendUnavailableError):
        world.services.finish(token, {"count": 1}, None)


def test_a_service_that_never_calls_back_fails_the_event(world: World) -> None:
    with listening((202, {})) as slow:
        event = later(world, slow, callback_timeout=30)

        seen = world.finish(event)

    assert seen.status == "failed"
    assert seen.services[0].status == "timedout"


def test_without_an_address_to_call_back_nobody_is_waited_for() -> None:
    world = World()
    with listening((202, {})) as slow:
        seen = world.finish(later(world, slow))

        assert slow.header("Callback-URL") == [None]
    assert seen.reason == (
        "step 'slow' failed: service 'slow' answered 202, and is told no address to call back"
    )


def test_all_who_share_a_store_share_the_key(world: World) -> None:
    with listening((202, {})) as slow:
        event = later(world, slow)
        other = Services(world.manager, clock=world.clock)

        other.finish(token_of(slow.calls[0]), {"count": 3}, None)

    assert world.finish(event).outputs == {"count": 3}
