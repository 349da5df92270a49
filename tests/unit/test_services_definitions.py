"""Services and workflows as they are given and kept: both forms, what is refused, versions, the order of calls."""

from typing import Any

import pytest

from pyworkflow import Manager
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.codec import convert
from pyworkflow.errors import PayloadError
from pyworkflow.services import (
    DefinitionConflictError,
    DefinitionError,
    MismatchError,
    Services,
    UnknownDefinitionError,
)
from pyworkflow.services.definition import SERVICE, WORKFLOW
from pyworkflow.services.given import GivenService, GivenWorkflow
from pyworkflow.services.spec import Kind, Parameter, picked
from tests.services_kit import INTEGER, STRING, TEXT_WORKFLOW, text_service

ADDRESS = "https://my-service.example.org:5000/"


@pytest.fixture
def services() -> Services:
    return Services(Manager(MemoryBackend()))


def put_service(services: Services, /, **given: Any) -> Any:
    told = {"name": "one", "address": ADDRESS} | given
    return services.put_service(convert(told, GivenService))


def put_workflow(services: Services, /, **given: Any) -> Any:
    return services.put_workflow(convert({"name": "flow"} | given, GivenWorkflow))


def texts(services: Services) -> None:
    for name in TEXT_WORKFLOW["spec"]["services"]:
        services.put_service(convert(text_service(name, ADDRESS), GivenService))


def test_the_seeds_form_and_the_flat_one_are_kept_alike(services: Services) -> None:
    spec = {
        "inputs": {"message": {"type": "string", "description": "The text"}},
        "outputs": {"count": {"type": "int"}},
    }
    first = put_service(services, spec=spec)
    flat = put_service(
        services,
        inputs=[{"name": "message", "type": "string", "description": "The text"}],
        outputs=[{"name": "count", "type": "integer"}],
    )

    assert flat == first
    assert first.version == 1
    assert first.definition.spec.inputs == {"message": Parameter(Kind.STRING, "The text")}
    assert first.definition.spec.outputs == {"count": Parameter(Kind.INTEGER)}


def test_the_flat_workflow_is_kept_like_the_seeds(services: Services) -> None:
    texts(services)
    first = services.put_workflow(convert(TEXT_WORKFLOW, GivenWorkflow))
    flat = put_workflow(
        services,
        name="process-text",
        services=["upper", "reverse", "space-counter"],
        inputs=[{"name": "message", "type": "string"}],
        outputs=[{"name": "message", "type": "string"}, {"name": "space_count", "type": "int"}],
        operations={},
    )

    assert flat == first


def test_the_seeds_address_without_a_dot_is_taken(services: Services) -> None:
    kept = put_service(services, address="http://my-service:5000/")

    assert kept.definition.address == "http://my-service:5000/"


def test_operations_are_kept_and_mean_nothing(services: Services) -> None:
    put_service(services)
    kept = put_workflow(services, spec={"services": ["one"], "operations": {"any": [1]}})

    assert kept.definition.spec.operations == {"any": [1]}


def test_a_definition_is_replaced_by_a_further_version(services: Services) -> None:
    first = put_service(services)
    again = put_service(services)
    second = put_service(services, timeout=5)

    assert (first.version, again.version, second.version) == (1, 1, 2)
    assert services.registry.get(SERVICE, "one").definition.timeout == 5
    assert services.registry.get(SERVICE, "one", first.revision).definition.timeout == 30


def test_a_definition_that_cannot_be_read_is_in_nobodys_way(services: Services) -> None:
    put_service(services, name="good")
    services.manager.backend.define("service", "odd", {"of": "a later version"})

    services.registry.refresh()

    assert [kept.definition.name for kept in services.registry.all(SERVICE)] == ["good"]
    assert put_service(services, name="odd").version == 1


def test_whoever_looks_while_a_definition_is_replaced_sees_one(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_service(services)
    seen: list[int] = []

    def looking(*given: Any) -> Any:
        seen.append(services.registry.get(SERVICE, "one").version)
        return convert(*given)

    monkeypatch.setattr("pyworkflow.services.registry.convert", looking)

    assert put_service(services, timeout=5).version == 2
    assert seen == [1]


def test_what_is_removed_is_gone_and_its_versions_go_on(services: Services) -> None:
    put_service(services)
    services.registry.remove(SERVICE, "one")

    assert services.registry.all(SERVICE) == []
    with pytest.raises(UnknownDefinitionError, match="unknown service 'one'"):
        services.registry.remove(SERVICE, "one")
    assert put_service(services).version == 2


def test_a_service_that_is_called_is_not_removed(services: Services) -> None:
    put_service(services)
    put_workflow(services, services=["one"])

    with pytest.raises(DefinitionConflictError, match="called by workflow 'flow'"):
        services.registry.remove(SERVICE, "one")
    services.registry.remove(WORKFLOW, "flow")
    services.registry.remove(SERVICE, "one")


def test_another_program_sees_what_is_registered(services: Services) -> None:
    put_service(services)
    put_workflow(services, services=["one"])
    other = Services(services.manager)

    other.registry.refresh()

    assert [kept.definition.name for kept in other.registry.all(WORKFLOW)] == ["flow"]
    assert other.registry.flow("flow").steps == ["one"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"address": ""}, "address"),
        ({"timeout": 0}, "timeout"),
        ({"spec": {"inputs": {"a": {"type": "text"}}}}, "spec.inputs[...].type"),
        ({"spec": {"inputs": {"": {"type": "string"}}}}, "spec.inputs"),
        ({"spec": {"input": {}}}, "spec"),
        ({"retry": {"max_attempts": 0}}, "retry"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_no_service_is_refused_by_field(
    services: Services, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        put_service(services, **given)

    assert field in str(caught.value)
    services.registry.refresh()
    assert services.registry.all(SERVICE) == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "picture.svg"}, "name"),
        ({"spec": {}, "inputs": []}, "inputs"),
        ({"inputs": [{"name": "a", "type": "string"}] * 2}, "inputs[1].name"),
    ],
)
def test_a_service_that_contradicts_itself_is_refused_by_field(
    services: Services, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        put_service(services, **given)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "services"),
        ({"spec": {"services": ["one"]}, "services": ["one"]}, "services"),
        ({"services": [{"service": "one", "name": "a"}] * 2}, "services[1].name"),
        ({"services": [{"service": "one", "depends_on": ["two"]}]}, "spec.services"),
        ({"services": [{"service": "one", "depends_on": ["one"]}]}, "spec.services"),
        (
            {
                "services": [
                    {"service": "one", "depends_on": ["b"]},
                    {"service": "one", "name": "b"},
                ]
            },
            "spec.services",
        ),
    ],
)
def test_a_workflow_that_cannot_run_is_refused_by_field(
    services: Services, given: dict[str, Any], field: str
) -> None:
    put_service(services)
    with pytest.raises(DefinitionError) as caught:
        put_workflow(services, **given)

    assert caught.value.field == field
    assert services.registry.all(WORKFLOW) == []


def test_a_workflow_of_a_service_that_is_not_there_is_a_conflict(services: Services) -> None:
    with pytest.raises(DefinitionConflictError, match="service 'nobody' of workflow 'flow'"):
        put_workflow(services, services=["nobody"])


def test_a_call_that_would_lack_an_input_is_a_conflict(services: Services) -> None:
    texts(services)
    with pytest.raises(DefinitionConflictError, match=r"'reverse' .* needs 'message'"):
        put_workflow(services, spec={"services": ["reverse"], "inputs": {"text": STRING}})
    # Where somebody does not say what it gives, it may be there.
    put_workflow(services, spec={"services": ["reverse"]})


def test_a_list_is_called_in_its_order_and_a_service_may_be_called_again(
    services: Services,
) -> None:
    texts(services)
    kept = put_workflow(services, services=["upper", "reverse", "upper"])

    calls = {entry.name: entry.depends_on for entry in kept.definition.spec.services}
    assert calls == {"upper": (), "reverse": ("upper",), "upper-2": ("reverse",)}


def test_calls_that_say_what_they_follow_are_a_graph(services: Services) -> None:
    texts(services)
    put_workflow(
        services,
        services=[
            {"service": "reverse", "name": "last", "depends_on": ["a", "b"]},
            {"service": "upper", "name": "a", "depends_on": []},
            {"service": "upper", "name": "b", "depends_on": []},
        ],
    )

    flow = services.registry.flow("flow")

    assert flow.steps == ["a", "b", "last"]
    arrows = {name: step.depends_on for name, step in flow.picture.steps.items()}
    assert arrows["last"] == ("a", "b")
    assert arrows["a"] == ()


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["", "é"], [1, None, True, [], {}]),
        ("integer", [0, -1, 2**62], [1.0, "1", True, None]),
        ("number", [0, 1.5], ["1", False, None]),
        ("boolean", [True, False], [0, 1, "true", None]),
        ("object", [{}, {"a": 1}], [[], "{}", None]),
        ("array", [[], [1]], [{}, "[]", None]),
    ],
)
def test_values_are_held_against_their_types(kind: str, good: list[Any], bad: list[Any]) -> None:
    wanted = {"v": Parameter(Kind(kind))}
    for value in good:
        assert picked({"v": value, "more": 1}, wanted, "data") == {"v": value}
    for value in bad:
        with pytest.raises(MismatchError, match=f"must be of type {kind}") as caught:
            picked({"v": value}, wanted, "data")
        assert caught.value.field == "data.v"
    with pytest.raises(MismatchError, match=r"data\.v: is missing"):
        picked({}, wanted, "data")


def test_integers_may_be_called_int() -> None:
    assert Kind("int") is Kind.INTEGER
    with pytest.raises(ValueError, match="text"):
        Kind("text")


def test_the_state_of_a_flow_stays_what_it_was_for_an_event_that_has_begun(
    services: Services,
) -> None:
    put_service(services, spec={"outputs": {"n": INTEGER}})
    put_workflow(services, services=["one"])
    before = services.registry.flow("flow")
    put_service(services, timeout=3, spec={"outputs": {"n": STRING}})
    put_service(services, name="another")

    after = services.registry.flow("flow")

    assert services.registry.flow("flow", before.revision) is before
    assert after.revision > before.revision
    assert after.service("one").timeout == 3
    put_service(services, name="a-third")
    # What is no part of a workflow does not make it another.
    assert services.registry.flow("flow") is after
