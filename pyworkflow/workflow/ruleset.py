"""Deciding by rules: methods that say which events they are for."""

from collections.abc import Callable
from itertools import chain
from typing import Any, ClassVar

from pyworkflow.decision import Decision
from pyworkflow.event import CancelRequestedEvent, DecisionStartedEvent, Event
from pyworkflow.process import Process
from pyworkflow.workflow.base import Decidable, Workflow, decisions_of
from pyworkflow.workflow.handlers import put_together
from pyworkflow.workflow.rules import RULES, Match


def _is_for_cancel(match: Match) -> bool:
    # A rule that takes whatever comes (to log it, say) does not answer a request to cancel.
    return match(CancelRequestedEvent()) and not match(DecisionStartedEvent())


class RuleSetWorkflow(Workflow):
    """Calls every method whose rules match an event that is new to the decider, in the order in which the methods are declared.

    Rules are inherited; a subclass that overrides a method replaces its rules as well (with none, if it declares none). Decisions are put
    together as in `DefaultWorkflow`. A rule for cancellation requests makes the workflow handle cancellation.
    """

    handlers: ClassVar[dict[str, tuple[Match, ...]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found: dict[str, tuple[Match, ...]] = {}
        for base in reversed(cls.__mro__):
            for name, member in vars(base).items():
                rules = getattr(member, RULES, None)
                if rules:
                    found[name] = rules
                else:
                    found.pop(name, None)
        cls.handlers = found
        if "handles_cancel" not in cls.__dict__:
            cls.handles_cancel = any(map(_is_for_cancel, chain.from_iterable(found.values())))

    def decide(self, process: Process) -> list[Decision]:
        """Return what the rules decide about the new events, oldest first."""
        returned = [
            handler(event, process)
            for event in process.unseen_events()
            for handler in self._handlers(event)
        ]
        return put_together(decisions_of(item, process) for item in returned)

    def _handlers(self, event: Event) -> list[Callable[[Event, Process], Decidable]]:
        return [
            getattr(self, name)
            for name, rules in self.handlers.items()
            if any(match(event) for match in rules)
        ]
