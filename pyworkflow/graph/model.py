"""Graphs as data: steps, what each of them does, and when. Frozen; `Graph` is validated as it is made.

Front ends build these. A callable in a step is called by the decider, once, and what comes of it is recorded: it may read the clock or a
database. What it is given is JSON from the history.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from pyworkflow.codec import Json
from pyworkflow.decision import ChildPolicy
from pyworkflow.graph.drawing import Drawn
from pyworkflow.graph.errors import GraphError
from pyworkflow.retry import Retry

if TYPE_CHECKING:
    from pyworkflow.graph.state import Outcome

START = "WorkflowStartTask"
"""The name of the pseudo-step that begins every graph; its output is the input of the process."""


class Join(StrEnum):
    """When a step with several dependencies runs."""

    ALL = "all"
    """When all have succeeded. If one is skipped, so is the step."""
    UNSKIPPED = "unskipped"
    """When all have succeeded but those that were skipped, and there is one: where branches meet again."""
    ANY = "any"
    """When the first has succeeded; the others go on, and what they give is left aside."""
    RACE = "race"
    """When the first has succeeded; the others are dropped."""


class After(StrEnum):
    """Which ends of its dependencies a step follows."""

    SUCCESS = "success"
    FAILURE = "failure"
    """Failing, or never running because something before it has failed."""
    CATCH = "catch"
    """Failing itself, timing out and being canceled included."""
    END = "end"
    """Any of these, or being skipped."""


class OnFailure(StrEnum):
    """What becomes of the process when a step has failed and no step follows that failure."""

    FAIL = "fail"
    """It fails at once."""
    CONTINUE = "continue"
    """What does not depend on the step goes on; then the process fails."""
    IGNORE = "ignore"
    """What does not depend on the step goes on; then the process completes."""


@dataclass(frozen=True, kw_only=True)
class ActivityWork:
    """Executes an activity. Timeouts and the category are those of its type where they are left out.

    Attributes:
        activity: Its name.
        category: The queue.
        timeout: Seconds that one attempt may take.
        scheduled_timeout: Seconds that it may wait for a worker.
        heartbeat_timeout: Seconds between two heartbeats.
    """

    activity: str
    category: str | None = None
    timeout: float | None = None
    scheduled_timeout: float | None = None
    heartbeat_timeout: float | None = None


@dataclass(frozen=True, kw_only=True)
class LambdaWork:
    """Executes a function of AWS Lambda, or what workers of the category ``lambda`` have under its name."""

    function: str
    timeout: float = 300.0


@dataclass(frozen=True, kw_only=True)
class ChildWork:
    """Runs another workflow as a child process.

    Attributes:
        workflow: The name it is registered under.
        timeout: Seconds until the child is asked to cancel itself and the step has timed out.
        child_policy: What becomes of the child when this process closes.
        tags: The child's tags.
    """

    workflow: str
    timeout: float | None = None
    child_policy: str = ChildPolicy.TERMINATE
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SignalWork:
    """Waits for a signal; its data is the output. A signal that came early counts; each counts for one step.

    Attributes:
        signal: Its name.
        timeout: Seconds to wait at most.
    """

    signal: str
    timeout: float | None = None


@dataclass(frozen=True, kw_only=True)
class TimerWork:
    """Lets time pass. It has no output.

    Attributes:
        duration: Seconds, or what tells them from the input of the step.
    """

    duration: float | Callable[[Json], float]


@dataclass(frozen=True, kw_only=True)
class NoWork:
    """Does nothing: the output is the input. The start is one of these."""


Busy = ActivityWork | LambdaWork | ChildWork
"""Work that somebody does, and of which there may be a limit at a time."""

Work = ActivityWork | LambdaWork | ChildWork | SignalWork | TimerWork | NoWork


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Runs a step again and again.

    Attributes:
        until: Told each output; whether it was the last.
        limit: Runs in all; the step fails if the last one is not enough.
        delay: Seconds between two runs.
        feed: Makes the next input from an output; the first input is used again if left out.
    """

    until: Callable[[Json], object]
    limit: int = 1000
    delay: float = 0
    feed: Callable[[Json], Json] | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A node of a graph.

    Attributes:
        name: Unique in the graph.
        work: What it does.
        depends_on: The steps it follows, by name; none means that it begins with the process.
        join: How many of them have to be there.
        after: Which of their ends it follows.
        compensates: The step that it undoes. It runs if that one has completed and the process fails or is canceled: one after another,
            what completed last first. It depends on nothing else, and its failure keeps no other one from being undone.
        param: A constant input, any JSON.
        collect: Makes the standard input from the outputs by name, if not as `pyworkflow.graph.inputs` says.
        transform_input: Makes the final input from the standard one.
        when: Told the standard input; the step is skipped if it says no.
        judge: Told how an attempt ended and what it was given; says how that counts. It is asked again whenever the history is read, so
            it must say the same each time.
        choose: Told the output; names the dependents that run, the others are skipped. None lets all of them run.
        for_each: The dependency whose output is a list, or what makes a list of standard inputs from one: the work is done for each
            item, and the output is the list of outputs.
        concurrency: Items at a time, at most.
        repeat: Runs the work until its output is enough.
        retry: When failures and timeouts are tried again; None leaves that to the type of an activity.
        on_failure: What its failure means, if not what the graph says.
        title: What people are shown instead of the name.
    """

    name: str
    work: Work
    depends_on: tuple[str, ...] = ()
    join: Join = Join.ALL
    after: After = After.SUCCESS
    compensates: str | None = None
    param: Json | UnsetType = UNSET
    collect: Callable[[Mapping[str, Json]], Json] | None = None
    transform_input: Callable[[Json], Json] | None = None
    when: Callable[[Json], object] | None = None
    judge: "Callable[[Outcome, Json], Outcome] | None" = None
    choose: Callable[[Json], Iterable[str] | None] | None = None
    for_each: str | Callable[[Json], Sequence[Json]] | None = None
    concurrency: int | None = None
    repeat: Repeat | None = None
    retry: Retry | None = None
    on_failure: OnFailure | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        for name, kind in (("join", Join), ("after", After), ("on_failure", OnFailure)):
            value = getattr(self, name)
            # What is none of them is told by the validation, with all else that is wrong.
            if value in list(kind):
                object.__setattr__(self, name, kind(value))
        if self.compensates is not None and not self.depends_on:
            object.__setattr__(self, "depends_on", (self.compensates,))

    @cached_property
    def rivals(self) -> tuple[str, ...]:
        """The dependencies whose ends decide whether it runs: the start tells nothing where there are others."""
        others = tuple(name for name in self.depends_on if name != START)
        return others or self.depends_on


class Graph(Drawn):
    """Steps by name, validated.

    Args:
        name: Of the workflow.
        steps: In the order in which they are begun where nothing else decides it. The start is added.
        output: The step whose output is the result; or several, for an object of their outputs; the only leaf's, if left out.
        on_failure: What the failure of a step means.
        concurrency: Activities, Lambda functions and children at a time, at most.

    Raises:
        GraphError: Something is wrong with the graph; the subclass says what, the message names the step.
    """

    def __init__(
        self,
        name: str,
        steps: Iterable[Step],
        *,
        output: str | Sequence[str] | None = None,
        on_failure: OnFailure = OnFailure.FAIL,
        concurrency: int | None = None,
    ) -> None:
        from pyworkflow.graph.validate import validated

        if concurrency is not None and concurrency < 1:
            raise GraphError(name, f"concurrency must be 1 or more, not {concurrency}", "graph")
        self.name = name
        self.concurrency = concurrency
        self.on_failure = OnFailure(on_failure)
        self.output = output
        self.steps: Mapping[str, Step] = MappingProxyType(validated(name, steps, output))
        self.place = {name: index for index, name in enumerate(self.steps)}
        followers: dict[str, list[str]] = {name: [] for name in self.steps}
        compensations: dict[str, list[str]] = {}
        for step in self.steps.values():
            if step.compensates is not None:
                compensations.setdefault(step.compensates, []).append(step.name)
                continue
            for dependency in dict.fromkeys(step.rivals):
                followers[dependency].append(step.name)
        self.followers = _frozen(followers)
        self.compensations = _frozen(compensations)

    def _graph_to_draw(self) -> "Graph":
        return self

    def leaves(self) -> list[str]:
        """Return the steps that nothing depends on."""
        forward = [step for step in self.steps.values() if step.compensates is None]
        needed = {name for step in forward for name in step.depends_on}
        return [s.name for s in forward if s.name not in needed and s.name != START]

    def is_handled(self, name: str) -> bool:
        """Tell whether another step follows the failure of a step."""
        return any(self.steps[other].after != After.SUCCESS for other in self.followers[name])

    def policy_of(self, name: str) -> OnFailure:
        """Return what the failure of a step means."""
        return OnFailure.IGNORE if self.is_handled(name) else self._stated(name)

    def _stated(self, name: str) -> OnFailure:
        stated = self.steps[name].on_failure
        return self.on_failure if stated is None else OnFailure(stated)


def _frozen(names: Mapping[str, list[str]]) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({name: tuple(others) for name, others in names.items()})
