"""Jobs: tasks in Python, their order in a YAML file, run with retries, logs and restarts.

The front end for job files (`pyworkflow job run job.yaml`). A job compiles to a graph; each of its tasks
runs in an operating-system process of its own, and the process history is the checkpoint.
"""
