"""The order as a plain decider: it looks at all that has happened, and says what comes next."""

from examples.order.activities import ACTIVITIES, STEPS
from examples.order.past import Past
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.process import Process
from pyworkflow.workflow import Decidable, Workflow


class DeciderWorkflow(Workflow):
    """Sells something."""

    name = "OrderByDecider"
    activities = ACTIVITIES
    handles_cancel = True

    def decide(self, process: Process) -> Decidable:
        """Do the first step that was not done; or undo what was."""
        past = Past(process)
        if past.ending is not None:
            return past.undo()
        if process.unfinished_activities():
            return None
        for step in STEPS:
            if step.name not in past.results:
                return ScheduleActivity(step, step.name, input=process.input)
        return CompleteProcess("sold")
