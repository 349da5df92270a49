"""What a step is given.

The values are its ``param``, if it has one, and the outputs of its dependencies that have one. A single value is given as it is. Several
are an object ``{'param': …, 'inputs': {dependency: output}}``, of which ``param`` is left out if there is none. No value is no input.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from pyworkflow.codec import Json
from pyworkflow.graph.errors import GraphError
from pyworkflow.graph.model import Step

T = TypeVar("T")


def standard_input(param: Json | UnsetType, outputs: Mapping[str, Json]) -> Json:
    """Return the input that a param and outputs by name make."""
    if param is UNSET:
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        return {"inputs": dict(outputs)} if outputs else None
    return {"param": param, "inputs": dict(outputs)} if outputs else param


def asked(function: Callable[[Any], T], value: object) -> T:
    """Return what a function of the graph says of a value. It gets a copy: the value is history, which it must not change."""
    return function(deepcopy(value))


def given_to(step: Step, outputs: Mapping[str, Json]) -> Json:
    """Return the standard input of a step."""
    if step.collect is not None:
        return asked(step.collect, outputs)
    return standard_input(step.param, outputs)


def final_input(step: Step, given: Json) -> Json:
    """Return what the work of a step is given, from the standard input."""
    return given if step.transform_input is None else asked(step.transform_input, given)


def item_inputs(step: Step, outputs: Mapping[str, Json]) -> list[Json]:
    """Return the final input for each item of a ``for_each`` step.

    Raises:
        GraphError: What it goes over is no list.
    """
    listed: Json
    if isinstance(step.for_each, str):
        source = step.for_each
        listed = _listed(step, outputs.get(source))
        standard = [given_to(step, {**outputs, source: item}) for item in listed]
    elif step.for_each is not None:
        standard = _listed(step, asked(step.for_each, given_to(step, outputs)))
    else:
        standard = []
    return [final_input(step, given) for given in standard]


def _listed(step: Step, value: Json) -> list[Json]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        told = f"for_each needs a list, and was given {type(value).__name__}"
        raise GraphError(step.name, told)
    return list(value)
