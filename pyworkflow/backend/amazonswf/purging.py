"""Removing the blobs of processes that closed long ago. SWF removes the processes themselves."""

from datetime import datetime as DateTime

from pyworkflow.backend.amazonswf.executions import Executions, Info, status_of
from pyworkflow.payloads import PayloadCodec
from pyworkflow.process import Status


def purge(codec: PayloadCodec, executions: Executions, closed_before: DateTime, limit: int) -> int:
    """Remove the blobs of processes that closed before an instant; return of how many."""
    if codec.store is None:
        return 0
    purged = 0
    for owner, newest, keys in list(codec.owners()):
        if purged >= limit:
            break
        # A process that was started just now may not be in SWF's lists yet, but its blobs are young.
        if newest < closed_before and _is_over(executions, owner, closed_before):
            for key in keys:
                codec.store.delete(key)
            purged += 1
    return purged


def _is_over(executions: Executions, owner: str, closed_before: DateTime) -> bool:
    runs = executions.runs(owner)
    if not all(_closed_before(info, closed_before) for info in runs):
        return False
    # What a child was given and what it returned is in its parent's history too.
    parents = {info["parent"]["workflowId"] for info in runs if info.get("parent")}
    return all(_is_over(executions, parent, closed_before) for parent in parents)


def _closed_before(info: Info, instant: DateTime) -> bool:
    closed: DateTime | None = info.get("closeTimestamp")
    if status_of(info) is Status.OPEN or closed is None:
        return False
    return closed < instant
