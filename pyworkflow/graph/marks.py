"""Markers: what a decider has settled by itself, recorded so that it is never worked out again."""

from collections.abc import Sequence

from pyworkflow.codec import Json
from pyworkflow.decision import Decision, RecordMarker
from pyworkflow.graph.keys import Key

MARKER = "pyworkflow.graph"
"""The name of all markers of graphs."""


def skipped(step: str) -> RecordMarker:
    """The step's ``when`` said no."""
    return RecordMarker(MARKER, {"step": step, "did": "skip"})


def dropped(step: str, winner: str) -> RecordMarker:
    """Another step was first in a race."""
    return RecordMarker(MARKER, {"step": step, "did": "drop", "for": winner})


def waits(key: Key) -> RecordMarker:
    """The step waits for its signal from now on."""
    return RecordMarker(MARKER, {"did": "wait", **key._asdict()})


def items(step: str, inputs: Sequence[Json]) -> RecordMarker:
    """The step's work is to be done for each of these."""
    return RecordMarker(MARKER, {"step": step, "did": "items", "items": list(inputs)})


def gave(step: str, output: Json) -> RecordMarker:
    """A step that opens nothing has this output."""
    return RecordMarker(MARKER, {"step": step, "did": "give", "output": output})


def done(step: str, chosen: Sequence[str] | None) -> RecordMarker:
    """The step has run often enough, and names the dependents that run (None for all)."""
    return RecordMarker(
        MARKER, {"step": step, "did": "done", "next": None if chosen is None else list(chosen)}
    )


def failed(step: str, reason: str) -> RecordMarker:
    """The step failed for a reason of the decider's own."""
    return RecordMarker(MARKER, {"step": step, "did": "fail", "reason": reason})


def read(decision: Decision) -> dict[str, Json] | None:
    """Return what a marker of ours says, or None for any other decision."""
    if isinstance(decision, RecordMarker) and decision.name == MARKER:
        details = decision.details
        # Anybody may record a marker of this name.
        if isinstance(details, dict) and "step" in details and "did" in details:
            return details
    return None
