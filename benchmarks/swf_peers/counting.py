"""Counts what a program asks of SWF, whatever library it asks through."""

import json
from collections import Counter
from typing import Any

import boto3
import botocore.client

REGION = "us-east-1"
SETTING_UP = ("Register", "Describe", "List")

calls: Counter[str] = Counter()


def client(service: str = "swf") -> Any:
    """Return a client for the endpoint that the environment names."""
    return boto3.session.Session().client(service, region_name=REGION)


def count() -> None:
    """Begin to count; polls that find nothing are left out, because how many there are is chance."""
    plain = botocore.client.BaseClient._make_api_call

    def counted(self: Any, operation: str, params: Any) -> Any:
        answer = plain(self, operation, params)
        if not operation.startswith(SETTING_UP):
            idle = operation.startswith("Poll") and not answer.get("taskToken")
            calls["idle polls" if idle else operation] += 1
        return answer

    botocore.client.BaseClient._make_api_call = counted


def is_open(domain: str, count_of: int) -> bool:
    """Tell whether fewer processes than that are completed."""
    closed = client().list_closed_workflow_executions(
        domain=domain, startTimeFilter={"oldestDate": 0}
    )
    completed = [one for one in closed["executionInfos"] if one["closeStatus"] == "COMPLETED"]
    return len(completed) < count_of


def report() -> None:
    """Print what was counted."""
    print(json.dumps(calls))
