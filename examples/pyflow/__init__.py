"""The program of the first pyflow's README. Its import line is the only one that is another.

A string is piped through three Lambda functions: in capitals, reversed, and behind a fixed prefix.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pyworkflow.graph as pyflow

workflow = pyflow.Workflow("StringTransformer", version="1.0")

upper_caser_task = workflow.add(
    pyflow.LambdaTask(
        name="UpperCaser", lambda_function="string-upcase", depends_on=[workflow.start_task]
    )
)

reverser_task = workflow.add(
    pyflow.LambdaTask(
        name="Reverser", lambda_function="string-reverse", depends_on=[upper_caser_task]
    )
)

sleep_task = workflow.add(pyflow.TimerTask(name="Sleep", duration=30, depends_on=[reverser_task]))

workflow.add(
    pyflow.LambdaTask(
        name="Concat",
        lambda_function="string-concat",
        param="Hello",
        depends_on=[sleep_task, reverser_task],
        transform_input=lambda inp: [inp["param"], " ", inp["inputs"]["Reverser"]],
    )
)

domain = "SWFSampleDomain"
task_list = "string-transformer-decider"

functions: Mapping[str, Callable[[Any], Any]] = {
    "string-upcase": str.upper,
    "string-reverse": lambda text: text[::-1],
    "string-concat": "".join,
}
"""What stands for the Lambda functions where there is no AWS."""
