"""Deciding by rules: methods that say which events they are for."""

from collections.abc import Callable
from itertools import chain
from typing import Any, ClassVar

from pyworkflow.decision import Decision
from pyworkflow.event import CancelRequestedEvent, Event, SignalEvent
from pyworkflow.process import Process
from pyworkflow.workflow.base import Decidable, Workflow, decisions_of
from pyworkflow.workflow.handlers import answers
from pyworkflow.workflow.rules import RULES, Rule
from pyworkflow.workflow.unhandled import check_progress, unhandled_end


class RuleSetWorkflow(Workflow):
    """Calls every method whose rules match an event that is new to the decider, in the order in which the methods are declared.

    Rules are inherited; a subclass that overrides a method replaces its rules as well (with none, if it declares none). Decisions are put
    together as in `DefaultWorkflow`. A rule for cancellation requests makes the workflow handle cancellation. An activity that did not
    complete and that no rule takes fails the process.
    """

    handlers: ClassVar[dict[str, tuple[Rule, ...]]] = {}
    takes_signals: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        handlers: dict[str, tuple[Rule, ...]] = {}
        for base in reversed(cls.__mro__):
            for name, member in vars(base).items():
                rules = getattr(member, RULES, None)
                if rules:
                    handlers[name] = rules
                else:
                    handlers.pop(name, None)
        cls.handlers = handlers
        specific = [r for r in chain.from_iterable(handlers.values()) if not r.takes_all()]
        # A predicate of the user's own may be for any signal.
        cls.takes_signals = any(r.event in (SignalEvent, Event) for r in specific)
        if "handles_cancel" not in cls.__dict__:
            cls.handles_cancel = any(r.may_match(CancelRequestedEvent()) for r in specific)

    def decide(self, process: Process) -> list[Decision]:
        """Return what the rules decide about the new events, oldest first.

        Raises:
            StalledError: Nothing is open afterwards, and no rule takes a signal.
        """

        def respond(event: Event) -> list[Decision]:
            responses = self._responses(process, event)
            return [decision for item in responses for decision in decisions_of(item, process)]

        decisions = answers(process, respond)
        check_progress(self, process, decisions)
        return decisions

    def _responses(self, process: Process, event: Event) -> list[Decidable]:
        rules = {
            name: [rule for rule in rules if rule.match(event)]
            for name, rules in self.handlers.items()
        }
        responses = [
            self._handler(name)(event, process) for name, matched in rules.items() if matched
        ]
        if all(rule.takes_all() for rule in chain.from_iterable(rules.values())):
            responses.append(unhandled_end(process, event))
        return responses

    def _handler(self, name: str) -> Callable[[Event, Process], Decidable]:
        handler: Callable[[Event, Process], Decidable] = getattr(self, name)
        return handler
