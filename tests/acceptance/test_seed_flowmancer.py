"""The README of the fourth seed: its project runs as written, with ``flowmancer`` changed to ``pyworkflow.jobs`` in the import lines."""

import subprocess
import sys
from pathlib import Path

import pytest

TASKS = """
import time
from flowmancer.task import Task, task

@task
class WaitAndSucceed(Task):
    # All variables should be given type hints and optional vars should be given default values.
    my_required_string_var: str
    my_optional_int_var: int = 5

    def run(self):
        # Store string input var in the shared dictionary accessible by other tasks.
        self.shared_dict["my_var"] = f"Hello from: {self.my_required_string_var}!"

        # Sleep for seconds defined by input var (using default of 5).
        print(f"Starting up and sleeping for {self.my_optional_int_var} seconds!")
        time.sleep(self.my_optional_int_var)
        print("Done!")

@task
class ImmediatelySucceed(Task):
    def run(self):
        # Print statements will automatically be sent to configured loggers.
        print("Success!")

@task
class FailImmediately(Task):
    def run(self):
        print(f"Printing `my_var` value: {self.shared_dict['my_var']}")
        # Raise errors to cause tasks to fail and additionally block dependent tasks, if any.
        raise RuntimeError("Let this be caught by Flowmancer")
"""

JOB = """
version: 0.1

# This entire config block is currently optional, however, it is recommended to at least provide a unique name for each
# Job Definition YAML file, as this name is used for checkpointing jobs in the event of failures.
config:
  name: 'my-flowmancer-job'

tasks:
  # No dependency - run right away
  # Add `parameters` key-value pairs for any required and optional task variables.
  succeed-task-a:
    task: WaitAndSucceed
    parameters:
      my_required_string_var: "My First Task!"

  # No dependency - run right away
  succeed-task-b:
    task: ImmediatelySucceed

  # Only run if prior 2 tasks complete successfully
  final-fail-task:
    task: FailImmediately
    max_attempts: 3  # Retry uup to 2 times upon failure (1 initial exec + 2 retries = 3 attempts)
    dependencies:
      - succeed-task-a
      - succeed-task-b
"""

MAIN = """
# main.py
import sys
from flowmancer import Flowmancer

if __name__ == '__main__':
    # The `start()` method will return a non-zero integer on failure, typically equal to the number of failed tasks.
    ret = Flowmancer().start()

    # Exceptions from tasks will be captured and logged, rather than being raised up to this level. To cause this
    # driver program to fail, either explicitly raise your own error OR call sys.exit.
    if ret:
      raise RuntimeError('Flowmancer job has failed!')

    # Alternatively, instead of crashing w/ an exception, simply exit with a non-zero value.
    # sys.exit(ret)
"""

EXIT = "import sys\nfrom flowmancer import Flowmancer\nif __name__ == '__main__':\n    sys.exit(Flowmancer().start())\n"

# The README's enumeration has no members (`HTTP: 'HTTP'`): mended here.
PARAMETERS = """
from enum import Enum
from flowmancer.task import Task, task
from pydantic import BaseModel
from typing import Dict, List

class Protocol(Enum):
    HTTP = 'HTTP'
    HTTPS = 'HTTPS'

class APIDetails(BaseModel):
    protocol: Protocol = Protocol.HTTPS
    base_url: str
    endpoint: str

@task
class DownloadDataFromRestApi(Task):
    api_details: APIDetails
    target_dir: str
    target_filename: str = 'data.json'

    def run(self) -> None:
        url = f'{self.api_details.protocol.value}://{self.api_details.base_url}/{self.api_details.endpoint}'
        print(url, self.target_dir, self.target_filename)
"""

PARAMETERS_JOB = """
loggers:
  # Load the default logger with default parameters
  default-logger:
    logger: FileLogger

  # Custom logger implementation
  slack-logger:
    logger: SlackMessageLogger
    parameters:
      webhook: https://some.webhook.url

tasks:
  download-file-one:
    task: DownloadDataFromRestApi
    parameters:
      api_details:
        # We leave out `protocol` because we want to just use the default `HTTPS` value.
        base_url: www.some_data_api.com
        endpoint: /v1/data/weather/today
      target_dir: /data/todays_weather
      # Override the default `target_filename` value given in the class implementation.
      target_filename: weather.json
"""

LOGGER = """
from pathlib import Path
from flowmancer.loggers.logger import Logger, logger
from flowmancer.eventbus.log import LogEndEvent, LogStartEvent, LogWriteEvent, SerializableLogEvent

@logger
class SlackMessageLogger(Logger):
    webhook: str

    def _post_to_slack(self, msg: str) -> None:
        with Path('slack').open('a') as file:
            file.write(msg + chr(10))

    async def update(self, evt: SerializableLogEvent) -> None:
        # The `LogStartEvent` and `LogEndEvent` events only have a `name` property.
        if isinstance(evt, LogStartEvent):
            self._post_to_slack(f'[{evt.name}] START: Logging is beginning')
        elif isinstance(evt, LogEndEvent):
            self._post_to_slack(f'[{evt.name}] END: Logging is ending')
        # The `LogWriteEvent` additionally has `severity` and `message` properties.
        elif isinstance(evt, LogWriteEvent):
            self._post_to_slack(f'[{evt.name}] {evt.severity.value}: {evt.message}')
"""


def write(path: Path, text: str) -> None:
    """Write a file of the seed with its import lines changed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace("from flowmancer", "from pyworkflow.jobs"), encoding="utf-8")


def python(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "my_project"
    write(root / "job.yaml", JOB)
    write(root / "main.py", MAIN)
    write(root / "exit.py", EXIT)
    write(root / "tasks" / "__init__.py", "")
    write(root / "tasks" / "mytasks.py", TASKS)
    return root


def said(log: Path) -> list[str]:
    """Return the lines of a log file without their times."""
    return [line.partition("] ")[2] for line in log.read_text(encoding="utf-8").splitlines()]


def test_the_project_runs_as_written_and_restarts_what_failed(project: Path) -> None:
    # From another folder: the job file is relative to it, all else to the main script.
    first = python(project.parent, "my_project/main.py", "-j", "./my_project/job.yaml")

    assert first.returncode == 1
    assert "RuntimeError: Flowmancer job has failed!" in first.stderr
    logs = {path.name: said(path) for path in project.glob("logs/*/*.log")}
    raised = '        raise RuntimeError("Let this be caught by Flowmancer")'
    line = TASKS.splitlines().index(raised) + 1
    attempt = [
        "INFO - Printing `my_var` value: Hello from: My First Task!!",
        "ERROR - Traceback (most recent call last):",
        f'ERROR -   File "{project}/tasks/mytasks.py", line {line}, in run',
        f"ERROR -     {raised.strip()}",
        "ERROR - RuntimeError: Let this be caught by Flowmancer",
    ]
    assert logs == {
        "succeed-task-a.log": ["INFO - Starting up and sleeping for 5 seconds!", "INFO - Done!"],
        "succeed-task-b.log": ["INFO - Success!"],
        "final-fail-task.log": attempt * 3,
    }

    second = python(project, "exit.py", "-j", "job.yaml", "-r")

    assert second.returncode == 1
    assert len(list(project.glob("logs/*/final-fail-task.log"))) == 2
    assert len(list(project.glob("logs/*/succeed-task-*.log"))) == 2


def test_complex_parameters_and_a_custom_logger_work_as_described(project: Path) -> None:
    write(project / "job.yaml", PARAMETERS_JOB)
    write(project / "tasks" / "download.py", PARAMETERS)
    write(project / "loggers" / "slack.py", LOGGER)

    done = python(project, "exit.py", "-j", "job.yaml")

    assert done.returncode == 0, done.stderr
    url = "HTTPS://www.some_data_api.com//v1/data/weather/today /data/todays_weather weather.json"
    (log,) = project.glob("logs/*/download-file-one.log")
    assert said(log) == [f"INFO - {url}"]
    assert (project / "slack").read_text(encoding="utf-8").splitlines() == [
        "[download-file-one] START: Logging is beginning",
        f"[download-file-one] INFO: {url}",
        "[download-file-one] END: Logging is ending",
    ]
