"""Which templates there are, and which of them data of a topic triggers."""

from collections.abc import Awaitable, Iterable
from typing import Protocol

from pyworkflow.engine.errors import UnknownTemplateError
from pyworkflow.engine.template import WorkflowTemplate


class Selector(Protocol):
    """What an engine asks for templates. `select` and `get` may be coroutine functions."""

    def load(self, template: WorkflowTemplate) -> None:
        """Add a template, or replace the one of its id."""
        ...

    def unload(self, tmpl_id: str) -> WorkflowTemplate:
        """Remove a template and return it."""
        ...

    def clear(self) -> None:
        """Remove all."""
        ...

    def select(
        self, topic: str | None = None
    ) -> Iterable[WorkflowTemplate] | Awaitable[Iterable[WorkflowTemplate]]:
        """Return the templates that data of a topic triggers."""
        ...

    def get(self, tmpl_id: str) -> WorkflowTemplate | Awaitable[WorkflowTemplate | None] | None:
        """Return the template of an id, None if there is none."""
        ...


class WorkflowSelector:
    """Keeps templates in memory, in the order in which they were loaded."""

    def __init__(self) -> None:
        self._templates: dict[str, WorkflowTemplate] = {}

    def load(self, template: WorkflowTemplate) -> None:
        """Add a template, or replace the one of its id."""
        self._templates[template.uid] = template

    def unload(self, tmpl_id: str) -> WorkflowTemplate:
        """Remove a template and return it.

        Raises:
            UnknownTemplateError: There is none of this id (also a KeyError).
        """
        if tmpl_id not in self._templates:
            raise UnknownTemplateError(tmpl_id)
        return self._templates.pop(tmpl_id)

    def clear(self) -> None:
        """Remove all."""
        self._templates.clear()

    def select(self, topic: str | None = None) -> list[WorkflowTemplate]:
        """Return the templates that data of a topic, or of none, triggers."""
        return [
            template
            for template in self._templates.values()
            if template.topics is None or topic in template.topics
        ]

    def get(self, tmpl_id: str) -> WorkflowTemplate | None:
        """Return the template of an id, None if there is none."""
        return self._templates.get(tmpl_id)
