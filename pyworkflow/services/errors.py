"""What can be wrong with services, their workflows and their events.

InvalidRequestError
├── FieldError                  something is wrong with a field, which is named
│   ├── DefinitionError         a definition is not as it must be
│   │   └── ForbiddenAddressError   a service is where none may be called
│   └── MismatchError           values are not what a spec says
└── CallbackError               a callback is not ours, or is out of date
UnknownResourceError
└── UnknownDefinitionError      no service or workflow has this name
PyworkflowError
└── DefinitionConflictError     a definition does not go with those that are there
"""

from pyworkflow.errors import InvalidRequestError, PyworkflowError, UnknownResourceError


class FieldError(InvalidRequestError):
    """Something is wrong with a field.

    Attributes:
        field: Its path, such as ``spec.inputs.message``.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field


class DefinitionError(FieldError):
    """A definition is not as it must be."""


class ForbiddenAddressError(DefinitionError):
    """A service is at an address where none may be called."""


class MismatchError(FieldError):
    """Values are not what a spec says."""


class CallbackError(InvalidRequestError):
    """A callback is not ours, or is out of date."""


class UnknownDefinitionError(UnknownResourceError):
    """No service or workflow has this name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(name)
        self.kind = kind

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # What makes the parent is not what makes this one.
        return type(self), (self.kind, self.name)


class DefinitionConflictError(PyworkflowError):
    """A definition does not go with those that are there."""
