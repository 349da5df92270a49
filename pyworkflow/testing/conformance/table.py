"""The table of what backends can do, for the docs."""

from collections.abc import Mapping

from pyworkflow.backend.base import Capability


def capability_table(backends: Mapping[str, frozenset[Capability]]) -> str:
    """Return a Markdown table of the capabilities that backends declare."""
    lines = [
        "| capability | " + " | ".join(backends) + " |",
        "|---|" + "---|" * len(backends),
    ]
    for capability in Capability:
        cells = ("yes" if capability in declared else "-" for declared in backends.values())
        lines.append(f"| {capability} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
