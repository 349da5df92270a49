"""Say hello to the world, backwards: ``python -m examples.pyflow [SECONDS_TO_SLEEP]``."""

import sys
import threading

import pyworkflow.graph as pyflow
from examples.pyflow import domain, functions, task_list, workflow


def main(seconds: float = 2) -> None:
    """Run a decider, a worker for the Lambda functions, and one process."""
    pyflow.use_backend("memory:")
    # Nobody likes to wait for half a minute to see a program work.
    workflow.get_task("Sleep").work = pyflow.TimerTask("Sleep", seconds).work
    pyflow.ensure_workflow_registered(workflow, domain=domain)
    arguments = {"domain": domain, "task_list": task_list}
    pollers = [
        threading.Thread(
            target=pyflow.poll_for_executions, args=(workflow,), kwargs=arguments, daemon=True
        ),
        threading.Thread(target=pyflow.poll_for_lambdas, args=(functions, domain), daemon=True),
    ]
    for poller in pollers:
        poller.start()

    workflow_id = pyflow.start_workflow(
        domain=domain,
        workflow_name="StringTransformer",
        workflow_version="1.0",
        task_list=task_list,
        input="World",
    )
    process = pyflow.backend_for(domain).wait_for_process(workflow_id, timeout=60)
    print(workflow.to_mermaid(process))
    print(process.result)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
