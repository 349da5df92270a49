"""Finding calls in a workflow's code that give something else in every replay: clocks and chance.

The interpreter tells nobody of these, so the code is read before it runs. Only coroutine functions of the workflow are read: a plain function may be
meant for `ReplayWorkflow.side_effect`, which is where such calls belong.
"""

import ast
import datetime
import inspect
import os
import random
import textwrap
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

from pyworkflow.replay.forbidden import forbid

_CLOCK = "call self.now()"
_CHANCE = "use self.random"

_ADVICE: tuple[tuple[Callable[..., Any], str], ...] = (
    (time.time, _CLOCK),
    (time.time_ns, _CLOCK),
    (time.monotonic, _CLOCK),
    (time.monotonic_ns, _CLOCK),
    (time.perf_counter, _CLOCK),
    (time.perf_counter_ns, _CLOCK),
    (time.localtime, _CLOCK),
    (time.gmtime, _CLOCK),
    (datetime.datetime.now, _CLOCK),
    (datetime.datetime.utcnow, _CLOCK),  # pyright: ignore[reportDeprecated]
    (datetime.datetime.today, _CLOCK),
    (datetime.date.today, _CLOCK),
    (time.sleep, "await self.sleep(...)"),
    (uuid.uuid1, "call self.uuid4()"),
    (uuid.uuid4, "call self.uuid4()"),
    (os.urandom, _CHANCE),
    (random.random, _CHANCE),
    (random.randint, _CHANCE),
    (random.randrange, _CHANCE),
    (random.choice, _CHANCE),
    (random.choices, _CHANCE),
    (random.sample, _CHANCE),
    (random.shuffle, _CHANCE),
    (random.uniform, _CHANCE),
)

_MISSING: Any = object()


def check_code(cls: type) -> None:
    """Refuse a workflow class whose coroutine functions call a clock or draw by chance. Code without its source passes.

    Raises:
        ForbiddenInWorkflowError: One does; the message names the line and what to do instead.
    """
    for base in cls.__mro__:
        if not base.__module__.startswith("pyworkflow.replay"):
            for member in vars(base).values():
                if isinstance(member, FunctionType):
                    _check(member)


@lru_cache(1_000)
def _check(function: FunctionType) -> None:
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError):
        return
    for call in _calls(tree.body, False):
        called = _resolved(call.func, function)
        advice = next((told for known, told in _ADVICE if called == known), None)
        if advice is not None:
            file = function.__code__.co_filename.rpartition("/")[2]
            shown = ast.unparse(call.func)
            forbid(f"{shown}() ({file}:{first + call.lineno - 1})", advice)


def _calls(nodes: Iterable[ast.AST], inside: bool) -> Iterator[ast.Call]:
    """Yield the calls in coroutine functions; what plain functions among them do is left to those who call them."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            continue
        if inside and isinstance(node, ast.Call):
            yield node
        yield from _calls(
            ast.iter_child_nodes(node), inside or isinstance(node, ast.AsyncFunctionDef)
        )


def _resolved(node: ast.expr, function: FunctionType) -> Any:
    """Return the global that a name, or an attribute of one, stands for."""
    if isinstance(node, ast.Attribute):
        owner = _resolved(node.value, function)
        # Of modules and classes only: anything else might do something when it is asked.
        known = isinstance(owner, ModuleType | type)
        return getattr(owner, node.attr, _MISSING) if known else _MISSING
    if isinstance(node, ast.Name) and node.id not in function.__code__.co_varnames:
        return function.__globals__.get(node.id, _MISSING)
    return _MISSING
