"""Events, the broker and topics."""

import asyncio
from typing import Any

import pytest

from pyworkflow.engine import (
    EXEC_TOPIC,
    Broker,
    Event,
    EventSource,
    TopicManager,
    get_broker,
    workflow_exec_topics,
)
from pyworkflow.errors import InvalidRequestError, PayloadError
from tests import engine_kit as kit


def test_an_event_has_a_copy_of_its_own() -> None:
    data = {"deep": {"list": [1]}}
    one = Event(data, "t", EventSource("w"))
    other = Event(one)

    data["deep"]["list"].append(2)
    one.data["deep"]["list"].append(3)

    assert one.data == {"deep": {"list": [1, 3]}}
    assert other.data == {"deep": {"list": [1]}}
    assert (one.topic, one.source) == ("t", EventSource("w"))
    assert one.copy().data == {"deep": {"list": [1, 3]}}
    assert "topic='t'" in repr(one)


@pytest.mark.parametrize("data", [None, 5, "text", ["list"]])
def test_an_event_holds_a_dict(data: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must be a dict or an Event"):
        Event(data)


@pytest.mark.parametrize("data", [{"x": {1}}, {1: "x"}, {"x": float("nan")}, {"x": object()}])
def test_an_event_holds_json(data: Any) -> None:
    with pytest.raises(PayloadError, match="event data"):
        Event(data)


def test_a_source_is_four_ids() -> None:
    assert EventSource("a", "b", "c", "d").as_dict() == {
        "workflow_template_id": "a",
        "workflow_exec_id": "b",
        "task_template_id": "c",
        "task_exec_id": "d",
    }


async def settle() -> None:
    """Let the loop call what is due, and run what that began."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_handlers_hear_their_topics_and_global_ones_everything() -> None:
    async def main() -> None:
        broker, heard = Broker(), list[tuple[str, Any]]()
        broker.register(lambda e: heard.append(("all", e.data["n"])))
        broker.register(lambda e: heard.append(("t", e.data["n"])), "t")

        async def coroutine(event: Event) -> None:
            heard.append(("u", event.data["n"]))

        broker.register(coroutine, "u")

        broker.dispatch({"n": 1})
        broker.dispatch({"n": 2}, "t")
        broker.dispatch({"n": 3}, ["t", "u"])
        assert heard == []
        await settle()

        assert sorted(heard) == [("all", 1), ("all", 2), ("all", 3), ("t", 2), ("t", 3), ("u", 3)]

    kit.run(main())


def test_a_handler_of_several_topics_is_called_once_for_an_event() -> None:
    async def main() -> None:
        broker, heard = Broker(), list[Event]()
        broker.register(heard.append, "t")
        broker.register(heard.append, "u")

        broker.dispatch({}, ["t", "u"], EventSource("w"))
        await settle()
        broker.unregister(heard.append, "t")
        broker.unregister(heard.append, "u")
        broker.dispatch({}, ["t", "u"])
        await settle()

        (event,) = heard
        assert (event.topic, event.source) == ("t", EventSource("w"))
        assert not broker.is_heard

    kit.run(main())


def test_handlers_do_not_see_what_others_do_to_an_event() -> None:
    async def main() -> None:
        broker, heard = Broker(), list[Any]()

        def spoil(event: Event) -> None:
            event.data["x"].append(2)

        broker.register(spoil)
        broker.register(lambda e: heard.append(e.data))

        broker.dispatch(Event({"x": [1]}))
        await settle()

        assert heard == [{"x": [1]}]

    kit.run(main())


def test_a_handler_is_global_or_has_topics() -> None:
    async def main() -> None:
        broker = Broker()
        broker.register(print)
        broker.register(repr, "t")

        with pytest.raises(ValueError, match="is registered for all events"):
            broker.register(print, "t")
        with pytest.raises(ValueError, match="is registered with topics"):
            broker.register(repr)
        with pytest.raises(TypeError, match="5 cannot be called"):
            broker.register(5)  # type: ignore[arg-type]
        with pytest.raises(KeyError):
            broker.unregister(repr)
        broker.unregister(print)

        with pytest.raises(InvalidRequestError):
            broker.dispatch("text")  # type: ignore[arg-type]

    kit.run(main())


def test_a_handler_that_fails_is_logged_and_the_others_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        broker, heard = Broker(), list[Event]()

        async def broken(event: Event) -> None:
            raise ValueError("broken")

        broker.register(broken)
        broker.register(heard.append)
        broker.dispatch({})
        await settle()

        assert len(heard) == 1

    kit.run(main())

    assert "a handler of events failed" in caplog.text


def test_a_loop_has_one_broker() -> None:
    async def main() -> Broker:
        loop = asyncio.get_running_loop()
        assert get_broker() is get_broker(loop)
        return get_broker()

    assert kit.run(main()) is not kit.run(main())


def test_a_broker_outlives_its_loop_quietly() -> None:
    async def main() -> Broker:
        return Broker()

    broker = kit.run(main())
    broker.register(print)

    broker.dispatch({})


def test_messages_have_a_topic_of_their_workflow() -> None:
    assert workflow_exec_topics("x") == (EXEC_TOPIC, "__exec_topic__/x")


def test_only_a_task_can_listen_to_topics() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="no task of a workflow"), TopicManager("t"):
            pass

    kit.run(main())
