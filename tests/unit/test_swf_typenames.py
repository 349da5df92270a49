"""Versions that Amazon keeps apart from names, on the way there and back."""

from typing import Any

import pytest

from pyworkflow.errors import InvalidRequestError
from pyworkflow.graph import ActivityTask, Workflow, WorkflowTask
from pyworkflow.swf.typenames import TypeNames

WHOLE = {"name": "order-2", "version": "2"}
APART = {"name": "order", "version": "2"}
PLAIN = {"name": "plain", "version": "1.0"}


@pytest.fixture
def names() -> TypeNames:
    made = TypeNames()
    made.add({"order-2": "2"})
    return made


@pytest.mark.parametrize(
    ("operation", "whole", "apart"),
    [
        ("start_workflow_execution", {"workflowType": WHOLE}, {"workflowType": APART}),
        ("register_workflow_type", WHOLE | {"domain": "d"}, APART | {"domain": "d"}),
        ("register_activity_type", PLAIN, PLAIN),
        (
            "list_open_workflow_executions",
            {"typeFilter": {"name": "order-2"}},
            {"typeFilter": APART},
        ),
        (
            "respond_decision_task_completed",
            {
                "decisions": [
                    {"decisionType": "X", "xAttributes": {"activityType": WHOLE, "id": "1"}}
                ]
            },
            {
                "decisions": [
                    {"decisionType": "X", "xAttributes": {"activityType": APART, "id": "1"}}
                ]
            },
        ),
    ],
)
def test_requests_have_name_and_version(
    names: TypeNames, operation: str, whole: dict[str, Any], apart: dict[str, Any]
) -> None:
    assert names.to_swf(operation, whole) == apart


@pytest.mark.parametrize(
    ("apart", "whole"),
    [
        ({"workflowType": APART, "taskToken": "t"}, {"workflowType": WHOLE, "taskToken": "t"}),
        ({"activityType": PLAIN}, {"activityType": PLAIN}),
        (
            {"executionInfos": [{"workflowType": APART}]},
            {"executionInfos": [{"workflowType": WHOLE}]},
        ),
        ({"executionInfo": {"workflowType": APART}}, {"executionInfo": {"workflowType": WHOLE}}),
        (
            {"events": [{"eventId": 1, "yEventAttributes": {"workflowType": APART}}]},
            {"events": [{"eventId": 1, "yEventAttributes": {"workflowType": WHOLE}}]},
        ),
    ],
)
def test_answers_have_whole_names(
    names: TypeNames, apart: dict[str, Any], whole: dict[str, Any]
) -> None:
    assert names.from_swf(apart) == whole


@pytest.mark.parametrize("name", ["order", "order2", "-2"])
def test_a_name_that_does_not_end_in_its_version_is_refused(name: str) -> None:
    names = TypeNames()

    with pytest.raises(InvalidRequestError, match="must end in a hyphen and its version, '2'"):
        names.add({name: "2"})
    assert names.to_swf("start_workflow_execution", {"workflowType": WHOLE}) == {
        "workflowType": WHOLE
    }


def test_a_graph_tells_the_versions_of_all_that_it_names() -> None:
    part = Workflow("Part", "3")
    part.add(ActivityTask("a", activity_name="pack", activity_version="7"))
    graph = Workflow("Order", "2")
    graph.add(WorkflowTask("part", part))
    graph.add(WorkflowTask("other", workflow_name="Other", workflow_version="1.0"))
    graph.add(ActivityTask("b", activity_name="charge"))

    assert graph.as_workflow().versions == {
        "Order-2": "2",
        "Part-3": "3",
        "pack-7": "7",
        "Other-1.0": "1.0",
    }
