"""The order as rules: a method for each thing that may happen."""

from examples.order.activities import ACTIVITIES, charge, refund, release, reserve, ship
from examples.order.past import Past
from pyworkflow.activity import AnyActivity
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.event import Event
from pyworkflow.process import Process
from pyworkflow.workflow import Decidable, RuleSetWorkflow, rules


class RulesWorkflow(RuleSetWorkflow):
    """Sells something."""

    name = "OrderByRules"
    activities = ACTIVITIES

    @rules.process_started
    def begin(self, event: Event, process: Process) -> Decidable:
        """Begin with the reservation."""
        return _unless_lost(process, reserve)

    @rules.completed_activity(reserve)
    def take_the_money(self, event: Event, process: Process) -> Decidable:
        """What is reserved is charged."""
        return _unless_lost(process, charge)

    @rules.completed_activity(charge)
    def send(self, event: Event, process: Process) -> Decidable:
        """What is charged is shipped."""
        return _unless_lost(process, ship)

    @rules.completed_activity(ship)
    def finish(self, event: Event, process: Process) -> Decidable:
        """What is shipped is sold."""
        return None if Past(process).ending else CompleteProcess("sold")

    @rules.interrupted_activity()
    @rules.completed_activity(refund)
    @rules.completed_activity(release)
    @rules.cancel_requested
    def undo(self, event: Event, process: Process) -> Decidable:
        """What fails, and who cancels, has it all undone, step by step."""
        return Past(process).undo()


def _unless_lost(process: Process, step: AnyActivity) -> Decidable:
    return None if Past(process).ending else ScheduleActivity(step, step.name, input=process.input)
