"""One order in four styles: a plain decider, rules, a graph, and async code.

Something is reserved, charged and shipped. If a step fails, or the order is canceled, what was done is undone: the last first. All four come
to the same activities with the same inputs and results, in the same order.
"""

from examples.order.activities import Order
from examples.order.decider import DeciderWorkflow
from examples.order.graph import GraphOrderWorkflow
from examples.order.replay import ReplayOrderWorkflow
from examples.order.rules import RulesWorkflow

STYLES = (DeciderWorkflow, RulesWorkflow, GraphOrderWorkflow, ReplayOrderWorkflow)

__all__ = [
    "STYLES",
    "DeciderWorkflow",
    "GraphOrderWorkflow",
    "Order",
    "ReplayOrderWorkflow",
    "RulesWorkflow",
]
