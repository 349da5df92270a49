"""HTTP services as workflows: services and the workflows that call them are given as JSON, and each event is a durable process.

`Services` is the way in; `pyworkflow serve` is its HTTP door. Calling needs the extra ``services``.
"""

from pyworkflow.services.definition import ServiceDefinition, WorkflowDefinition
from pyworkflow.services.errors import (
    CallbackError,
    DefinitionConflictError,
    DefinitionError,
    ForbiddenAddressError,
    MismatchError,
    UnknownDefinitionError,
)
from pyworkflow.services.given import GivenEntry, GivenService, GivenWorkflow
from pyworkflow.services.policy import AddressPolicy
from pyworkflow.services.services import CATEGORY, Services, Wanted

__all__ = [
    "CATEGORY",
    "AddressPolicy",
    "CallbackError",
    "DefinitionConflictError",
    "DefinitionError",
    "ForbiddenAddressError",
    "GivenEntry",
    "GivenService",
    "GivenWorkflow",
    "MismatchError",
    "ServiceDefinition",
    "Services",
    "UnknownDefinitionError",
    "Wanted",
    "WorkflowDefinition",
]
