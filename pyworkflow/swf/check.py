"""What can be told of a list of decisions before SWF sees it. SWF takes the rest as it comes, and tells by events."""

from collections.abc import Sequence

from msgspec import structs

from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    ChildPolicy,
    Decision,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import InvalidDecisionError, InvalidRequestError, PyworkflowError
from pyworkflow.failure import repr_of
from pyworkflow.swf.chores import Swf, translated
from pyworkflow.swf.decisions import Context
from pyworkflow.swf.words import RESERVED
from pyworkflow.values import check_fields, check_name, check_seconds, check_tags


def check_own(name: str, what: str) -> None:
    """Refuse a name that this package keeps for itself.

    Raises:
        InvalidRequestError: It begins as those do.
    """
    if name.startswith(RESERVED):
        raise InvalidRequestError(f"{what} {name!r}", f"must not begin with {RESERVED!r}")


def checked(
    wanted: Sequence[Decision], waits: dict[str, str | None], context: Context
) -> list[list[Swf]]:
    """Return each decision as the decisions of SWF that it takes.

    Raises:
        InvalidDecisionError: One of them cannot apply; it is named.
    """
    groups: list[list[Swf]] = []
    started = tuple(d.process.id for d in wanted if isinstance(d, StartChildProcess))
    context = structs.replace(context, children=context.children + started)
    for index, decision in enumerate(wanted):
        what = f"decision {index + 1}"
        if not isinstance(decision, Decision):
            raise InvalidDecisionError(what, f"{repr_of(decision, 80)} is no decision")
        try:
            if decision.closing and index + 1 < len(wanted):
                raise InvalidRequestError("place", "it closes the process and must come last")
            check_fields(decision)
            _check(decision, context.owner)
            groups += translated([decision], waits, context)
        except PyworkflowError as error:
            raise InvalidDecisionError(f"{what}, {decision.type}", str(error)) from error
    return groups


def _check(d: Decision, owner: str) -> None:
    if isinstance(d, ScheduleActivity):
        check_name(d.activity, "activity")
        check_name(d.id, "activity id")
        if d.category is not None:
            check_name(d.category, "category")
        for name in ("scheduled_timeout", "execution_timeout", "heartbeat_timeout"):
            if (seconds := getattr(d, name)) is not None:
                check_seconds(seconds, name, positive=True)
    elif isinstance(d, ScheduleLambda):
        check_name(d.function, "function")
        check_name(d.id, "activity id")
        check_seconds(d.timeout, "timeout", positive=True)
    elif isinstance(d, Timer):
        check_seconds(d.delay, "delay")
        check_name(d.id, "timer id")
    elif isinstance(d, CancelActivity | CancelTimer):
        check_name(d.id, "id")
    elif isinstance(d, StartChildProcess):
        check_name(d.process.workflow, "workflow")
        check_name(d.process.id, "process id")
        check_tags(d.process.tags)
        if d.child_policy not in ChildPolicy.ALL:
            raise InvalidRequestError(f"child policy {d.child_policy!r}", "is unknown")
    elif isinstance(d, SignalProcess):
        check_name(d.process_id.partition(":")[0], "process id")
        check_own(check_name(d.signal.name, "signal name"), "signal name")
    elif isinstance(d, RequestCancelProcess):
        if check_name(d.process_id.partition(":")[0], "process id") == owner:
            raise InvalidRequestError(f"process id {d.process_id!r}", "is its own")
    elif isinstance(d, RecordMarker):
        check_own(check_name(d.name, "marker name"), "marker name")
