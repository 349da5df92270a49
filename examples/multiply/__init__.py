"""The program of the first pyworkflow's README, with the import paths that it had."""

from pyworkflow.activity import Activity, ActivityAborted
from pyworkflow.decision import CancelProcess, CompleteProcess
from pyworkflow.event import ActivityEvent
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.workflow import Decidable, Workflow


class MultiplicationActivity(Activity):
    """Multiplies two numbers the long way."""

    scheduled_timeout = 300  # max seconds in queue
    execution_timeout = 10  # max execution duration

    def execute(self) -> object:
        """Return the product of the two numbers of the input."""
        if type(self.input) is not list or len(self.input) != 2:
            raise ValueError("invalid input")

        if self.input[0] > 10:
            return ActivityAborted("first operand must be <= 10")

        result = 0
        for _ in range(self.input[0]):
            # multiplication is repeated addition
            result += self.input[1]

            # give a sign of life
            self.heartbeat()

        return result


class FooWorkflow(Workflow):
    """Multiplies once."""

    activities = (MultiplicationActivity,)

    def decide(self, process: Process) -> Decidable:
        """Schedule the multiplication, then end as it ended."""
        ended = [e for e in process.history if isinstance(e, ActivityEvent)]
        if not ended:
            # shorthand for ScheduleActivity(MultiplicationActivity, input=process.input)
            return MultiplicationActivity
        result = ended[-1].result
        if isinstance(result, ActivityCompleted):
            return CompleteProcess(result.result)
        return CancelProcess(str(result))
