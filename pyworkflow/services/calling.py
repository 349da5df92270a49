"""What a call of a service comes to, whoever makes it."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from pyworkflow.codec import Json
from pyworkflow.services.definition import ServiceDefinition

FAILED = "ServiceFailed"
"""A failure that another attempt may mend, as `ActivityFailed.type_name` has it."""

REFUSED, WRONG_OUTPUT, WRONG_INPUT, FORBIDDEN = FINAL = (
    "ServiceRefused",
    "WrongOutput",
    "WrongInput",
    "ForbiddenAddress",
)
"""Failures that no attempt would mend."""


class Answer(Struct, frozen=True):
    """What a service answered.

    Attributes:
        outputs: The JSON object.
        later: Whether it only took the work on, and will call back.
    """

    outputs: Mapping[str, Json]
    later: bool = False


class Client(Protocol):
    """Calls services."""

    async def call(
        self, service: ServiceDefinition, data: Mapping[str, Json], headers: Mapping[str, str]
    ) -> Answer:
        """Send data to a service and return its answer.

        Raises:
            ActivityFailed: There is no answer in time, or it is no success or no JSON object, or the address is not allowed.
        """
        ...
