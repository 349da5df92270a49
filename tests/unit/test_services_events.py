"""Events: what each service is sent, what comes out, what becomes of failures; services are real ones on loopback."""

import threading
from contextlib import ExitStack
from typing import Any

import pytest

from pyworkflow import Process
from pyworkflow.errors import ProcessAlreadyExistsError, UnknownProcessError
from pyworkflow.services import DefinitionConflictError, MismatchError, UnknownDefinitionError
from pyworkflow.services.services import Wanted
from tests.services_kit import (
    INTEGER,
    STRING,
    SUNRISE,
    TEXT_WORKFLOW,
    TEXTS,
    Listener,
    World,
    listening,
    text_service,
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def texts(world: World) -> Any:
    """The seed's services, registered, with their workflow."""
    with ExitStack() as stack:
        found: dict[str, Listener] = {}
        for name, answer in TEXTS.items():
            found[name] = stack.enter_context(listening(answer))
            world.service(**text_service(name, found[name].address))
        world.workflow("process-text", **TEXT_WORKFLOW["spec"])
        yield found


def test_the_seeds_event_gives_exactly_its_outputs(
    world: World, texts: dict[str, Listener]
) -> None:
    seen = world.event("process-text", {"message": SUNRISE, "unknown": 1})

    assert seen.outputs == {"message": "! GNINROM EHT NI ESIR LLIW NUS EHT", "space_count": 7}
    assert seen.status == "completed"
    assert [(call.service, call.status, call.attempts) for call in seen.services] == [
        ("upper", "completed", 1),
        ("reverse", "completed", 1),
        ("space-counter", "completed", 1),
    ]
    assert texts["upper"].bodies == [{"message": SUNRISE}]
    assert texts["reverse"].bodies == [{"message": SUNRISE.upper()}]
    assert texts["space-counter"].bodies == [{"message": "! GNINROM EHT NI ESIR LLIW NUS EHT"}]


def test_each_call_says_who_it_is(world: World, texts: dict[str, Listener]) -> None:
    event = world.send("process-text", {"message": "a"})
    world.finish(event)

    headers = {name: listener.calls[0].headers for name, listener in texts.items()}
    traces = [headers[name]["traceparent"].split("-") for name in texts]
    assert {name: told["idempotency-key"] for name, told in headers.items()} == {
        name: f"{event}/{name}" for name in texts
    }
    assert len({trace[1] for trace in traces}) == 1
    assert len({trace[2] for trace in traces}) == 3
    assert all([len(part) for part in trace] == [2, 32, 16, 2] for trace in traces)
    for told in headers.values():
        assert told["content-type"] == "application/json"
        assert told["accept-encoding"] == "identity"


def test_the_address_is_called_exactly_as_it_was_given(world: World) -> None:
    with listening((200, {})) as one:
        world.call(one.address + "a%2Fb//c/?x=1&y=%20;z")

    assert one.calls[0].path == "/a%2Fb//c/?x=1&y=%20;z"


@pytest.mark.parametrize(
    ("data", "field"), [({}, "data.message"), ({"message": 1}, "data.message")]
)
def test_an_event_that_does_not_match_calls_and_keeps_nothing(
    world: World, texts: dict[str, Listener], data: dict[str, Any], field: str
) -> None:
    with pytest.raises(MismatchError) as caught:
        world.send("process-text", data)

    assert caught.value.field == field
    assert world.manager.processes(status=None) == []
    assert sum(listener.connections for listener in texts.values()) == 0


def test_an_event_needs_a_workflow_whose_services_are_there(world: World) -> None:
    with pytest.raises(UnknownDefinitionError, match="unknown workflow 'nobody'"):
        world.send("nobody", {})
    world.service("one", "http://127.0.0.1:1/")
    world.workflow("single", ["one"])
    # What nobody is kept from doing who writes to the store by another way.
    world.backend.define("service", "one", None)
    with pytest.raises(DefinitionConflictError, match="service 'one'"):
        world.send("single", {})


def test_events_sent_together_stand_each_alone(world: World, texts: dict[str, Listener]) -> None:
    good = Wanted("process-text", {"message": "a"})
    sent = world.services.send([good, Wanted("nobody", {}), Wanted("process-text", {}), good])

    kinds = [type(each) for each in sent]
    assert kinds == [Process, UnknownDefinitionError, MismatchError, Process]
    assert len(world.manager.processes()) == 2


def test_a_repeat_whose_event_is_gone_meanwhile_spoils_no_other(
    world: World, texts: dict[str, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send("process-text", {"message": "a"}, id="one")
    # What was sent is looked at only if the definitions have changed since.
    world.service(**text_service("upper", texts["upper"].address, timeout=3))

    def gone(process_id: str) -> Process:
        raise UnknownProcessError(process_id)

    monkeypatch.setattr(world.manager, "process_by_id", gone)
    wanted = [Wanted("process-text", {"message": "a"}, id) for id in ("one", "two")]

    assert [type(each) for each in world.services.send(wanted)] == [UnknownProcessError, Process]


def test_the_same_id_is_the_same_event_whatever_is_registered_since(
    world: World, texts: dict[str, Listener]
) -> None:
    first = world.send("process-text", {"message": "a", "more": 1}, id="one")
    world.service(**text_service("upper", texts["upper"].address, timeout=3))

    assert world.send("process-text", {"message": "a"}, id="one") == first
    with pytest.raises(ProcessAlreadyExistsError):
        world.send("process-text", {"message": "b"}, id="one")
    assert len(world.manager.processes()) == 1


def test_an_event_goes_on_with_what_was_registered_when_it_was_sent(
    world: World, texts: dict[str, Listener]
) -> None:
    event = world.send("process-text", {"message": "a b"})
    with listening((200, {"message": "wrong"})) as other:
        world.service(**text_service("upper", other.address))
        world.workflow("process-text", ["upper"], outputs={"message": STRING})

        assert world.finish(event).outputs == {"message": "B A", "space_count": 1}
        assert world.event("process-text", {"message": "a"}).outputs == {"message": "wrong"}


def test_branches_run_beside_each_other_and_meet(world: World) -> None:
    together = threading.Barrier(2, timeout=60)

    def beside(number: int) -> Any:
        # Each answers only when the other is called as well: one thread for each is needed.
        def answer(call: Any) -> Any:
            together.wait()
            return 200, {f"n{number}": number, "last": number}

        return answer

    with (
        listening(beside(1)) as one,
        listening(beside(2)) as two,
        listening(lambda call: (200, {"sum": call.body["n1"] + call.body["n2"]})) as joined,
    ):
        for name, listener in (("one", one), ("two", two), ("join", joined)):
            world.service(name, listener.address)
        calls = [
            {"service": "one", "depends_on": []},
            {"service": "two", "depends_on": []},
            {"service": "join", "depends_on": ["one", "two"]},
        ]
        world.workflow("diamond", calls)
        event = world.send("diamond", {"start": 0})
        workers = [threading.Thread(target=world.runner.work) for _ in range(2)]
        world.runner.workers[0]()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seen = world.finish(event)

    assert seen.outputs == {"n1": 1, "n2": 2, "last": 2, "sum": 3}
    # It is sent what went in and what all before it gave; of the same name, what comes later in the definition.
    assert joined.bodies == [{"start": 0, "n1": 1, "n2": 2, "last": 2}]
    assert one.bodies == two.bodies == [{"start": 0}]


def test_a_service_is_sent_what_its_spec_names(world: World) -> None:
    with listening((200, {})) as one:
        world.call(one.address, {"a": 1, "b": 2}, spec={"inputs": {"b": INTEGER}})

    assert one.bodies == [{"b": 2}]


def test_outputs_that_nobody_asked_for_are_left_out(world: World) -> None:
    with listening((200, {"n": 1, "more": 2})) as one:
        call, seen = world.call(one.address, spec={"outputs": {"n": INTEGER}})

    assert call.outputs == {"n": 1}
    assert seen.outputs == {"n": 1}


def test_a_workflow_whose_outputs_are_wrong_fails(world: World) -> None:
    with listening((200, {"n": "text"})) as one:
        world.service("one", one.address)
        world.workflow("single", ["one"], outputs={"n": INTEGER})
        seen = world.event("single", {})

    assert seen.status == "failed"
    assert seen.outputs is None
    told = "outputs.n: must be of type integer, not string"
    assert seen.reason == f"workflow 'single' gave wrong outputs: {told}"


def test_what_is_missing_when_a_service_is_called_fails_the_event(world: World) -> None:
    with listening((200, {})) as one:
        call, seen = world.call(one.address, {}, spec={"inputs": {"n": INTEGER}})

    assert one.connections == 0
    assert call.reason == "service 'one' is not called: data.n: is missing"
    assert seen.status == "failed"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, {"message": "an error"}), "answered 400"),
        ((404, b"<html>"), "answered 404"),
        ((500, {"n": 1}), "answered 500"),
        ((503, b""), "answered 503"),
        ((302, b"", {"Location": "/elsewhere"}), "answered 302"),
        ((200, b""), "answered no JSON object: "),
        ((200, b"no json"), "answered no JSON object: "),
        ((200, [1]), "answered no JSON object: "),
        ((200, None), "answered no JSON object: "),
        ((200, b'{"n": NaN}'), "answered no JSON object: "),
        ((200, b'{"n": "\xff"}'), "answered no JSON object: "),
        ((204, b""), "answered no JSON object: "),
        ((200, {}), "answered wrongly: outputs.n: is missing"),
        ((200, {"n": "1"}), "answered wrongly: outputs.n: must be of type integer, not string"),
        ((200, b"{}", {"Content-Encoding": "gzip"}), "answered compressed"),
    ],
)
def test_an_answer_that_is_no_success_fails_the_event_and_names_the_service(
    world: World, answer: Any, reason: str
) -> None:
    with listening(answer) as one:
        call, seen = world.call(
            one.address, spec={"outputs": {"n": INTEGER}}, retry={"max_attempts": 1}
        )

    assert len(one.calls) == 1
    assert call.status == "failed"
    assert call.reason.startswith(f"service 'one' {reason}")
    assert seen.reason == f"step 'one' failed: {call.reason}"
    assert seen.outputs is None


def test_a_service_that_is_not_there_fails_the_event(world: World) -> None:
    with listening((200, {})) as one:
        address = one.address
    call, seen = world.call(address)

    assert call.reason.startswith("service 'one' cannot be reached: ")
    assert seen.status == "failed"


def test_an_unacceptable_value_in_an_answer_fails_the_event(world: World) -> None:
    with listening((200, b'{"n": 99999999999999999999, "s": "\\u0000"}')) as one:
        _, seen = world.call(one.address)

    assert seen.status == "failed"
    assert "step 'one' failed" in seen.reason


def test_a_call_is_tried_again_with_the_same_key_only_if_it_may_help(world: World) -> None:
    answers = iter([(503, {}), (429, {}), (200, {"n": 1})])
    with listening(lambda call: next(answers)) as one:
        call, seen = world.call(one.address, retry={"max_attempts": 3, "initial": 1})
        keys = one.header("Idempotency-Key")
        spans = one.header("traceparent")
    with listening((400, {})) as final:
        refused, _ = world.call(final.address, retry={"max_attempts": 3, "initial": 1})

    assert seen.outputs == {"n": 1}
    assert call.attempts == 3
    assert keys == [f"{seen.event_id}/one"] * 3
    assert len(set(spans)) == 3
    assert (refused.attempts, len(final.calls)) == (1, 1)


def test_without_retry_a_call_is_made_once(world: World) -> None:
    with listening((503, {})) as one:
        call, _ = world.call(one.address)

    assert len(one.calls) == 1
    assert call.attempts == 1


def test_a_process_that_is_no_event_is_none(world: World) -> None:
    world.backend.register_workflow("order")
    world.manager.start_process(Process("order", "other"))
    with pytest.raises(UnknownProcessError):
        world.services.view("other")
    with pytest.raises(UnknownProcessError):
        world.services.view("nobody")


@pytest.mark.parametrize(
    "given",
    [None, {}, {"workflow": "single", "revision": 0, "data": {}}, {"workflow": 1}, [1]],
)
def test_the_process_of_no_event_fails_instead_of_being_parked(world: World, given: Any) -> None:
    world.manager.start_process(Process("services.event", "odd", given))

    process = world.runner.finish("odd")

    assert process.status == "failed"
    with pytest.raises(UnknownProcessError, match="it is no event"):
        world.services.view("odd")


def test_pictures_show_the_workflow_and_the_state_of_each_call(
    world: World, texts: dict[str, Listener]
) -> None:
    event = world.send("process-text", {"message": "a"})
    process, flow = world.services.event(event)
    before = flow.picture.to_svg(process)
    world.finish(event)
    process, flow = world.services.event(event)
    after = flow.picture.to_svg(process)

    assert flow.picture.to_svg().count("<rect") == 3
    # It names services, not what calls them.
    assert "services.call" not in flow.picture.to_svg()
    assert (before.count(">waiting<"), before.count(">completed<")) == (3, 0)
    assert (after.count(">waiting<"), after.count(">completed<")) == (0, 3)
    assert after.count("<path") == 1 + 2


def test_calls_of_an_event_that_was_ended_are_not_under_way(world: World) -> None:
    with listening((200, {"n": 1})) as one:
        for name in ("one", "two"):
            world.service(name, one.address)
        world.workflow("both", ["one", "two"])
        event = world.send("both", {})
        decider, *workers = world.runner.workers
        decider()
        for work in workers:
            work()
        world.manager.terminate_process(event, "enough")

    seen = world.services.view(event)

    assert seen.status == "terminated"
    assert [(call.status, call.reason, call.ended) for call in seen.services] == [
        ("completed", None, seen.services[0].ended),
        ("canceled", "the event ended before it", seen.closed),
    ]


def test_the_calls_of_two_events_never_share_a_key(world: World) -> None:
    with listening((200, {})) as one:
        world.service("one", one.address)
        world.workflow("flow", [{"service": "one", "name": "c"}, {"service": "one", "name": "b.c"}])
        for event in ("a.b", "a", "заказ 7%"):
            assert world.finish(world.send("flow", {}, id=event)).status == "completed"

    keys = one.header("Idempotency-Key")
    assert len(set(keys)) == len(keys) == 6
    assert keys[4] == "%D0%B7%D0%B0%D0%BA%D0%B0%D0%B7%207%25/c"
