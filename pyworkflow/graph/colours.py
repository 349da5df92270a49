"""The colours of the states, told apart by people who see few colours too: the state is always written as well."""

from pyworkflow.graph.state import StepStatus

INK = "#1b1f24"
PLAIN_FILL, PLAIN_LINE = "#ffffff", "#57606a"

FILL = {
    StepStatus.WAITING: "#f6f8fa",
    StepStatus.RUNNING: "#ddf4ff",
    StepStatus.RETRYING: "#fff8c5",
    StepStatus.COMPLETED: "#dafbe1",
    StepStatus.FAILED: "#ffebe9",
    StepStatus.TIMED_OUT: "#ffebe9",
    StepStatus.CANCELED: "#fbefff",
    StepStatus.SKIPPED: "#eaeef2",
    StepStatus.BLOCKED: "#fff1e5",
}

LINE = {
    StepStatus.WAITING: "#8c959f",
    StepStatus.RUNNING: "#0969da",
    StepStatus.RETRYING: "#9a6700",
    StepStatus.COMPLETED: "#1a7f37",
    StepStatus.FAILED: "#cf222e",
    StepStatus.TIMED_OUT: "#cf222e",
    StepStatus.CANCELED: "#8250df",
    StepStatus.SKIPPED: "#8c959f",
    StepStatus.BLOCKED: "#bc4c00",
}
