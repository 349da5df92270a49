"""The order as a graph: what depends on what, and what undoes what."""

from examples.order.activities import charge, refund, release, reserve, ship
from pyworkflow.graph import ActivityTask, PassTask, Workflow

graph = Workflow("OrderByGraph", output="sold")

# The parameter of each function is called `order`, and so is given the output of this step.
graph.add(PassTask("order", depends_on=[graph.start_task]))
graph.step(reserve)
graph.step(depends_on=["reserve"])(charge)
graph.step(depends_on=["charge"])(ship)
graph.add(PassTask("sold", depends_on=["ship"], transform_input=lambda _: "sold"))

graph.add(ActivityTask("release", release, compensates="reserve"))
graph.add(ActivityTask("refund", refund, compensates="charge"))

GraphOrderWorkflow = graph.as_workflow()
