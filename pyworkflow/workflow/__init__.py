"""Workflows: deciders, handlers for each kind of event, and rules."""

from pyworkflow.workflow import rules
from pyworkflow.workflow.base import Decidable, Workflow, decisions_of, is_activity, workflow
from pyworkflow.workflow.handlers import DefaultWorkflow
from pyworkflow.workflow.ruleset import RuleSetWorkflow

__all__ = [
    "Decidable",
    "DefaultWorkflow",
    "RuleSetWorkflow",
    "Workflow",
    "decisions_of",
    "is_activity",
    "rules",
    "workflow",
]
