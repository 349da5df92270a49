"""Templates: workflows and their tasks as data, to be read from a dict, edited, and written as a dict again."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from pyworkflow.codec import Json, decode
from pyworkflow.engine.compiled import Compiled, compiled
from pyworkflow.engine.dag import DAG, check_acyclic
from pyworkflow.engine.errors import TemplateError, WorkflowRootTaskError
from pyworkflow.engine.registry import TaskRegistry
from pyworkflow.engine.states import OverrunPolicy
from pyworkflow.errors import InvalidRequestError
from pyworkflow.ids import new_id
from pyworkflow.values import check_name, check_payload, check_seconds

Topics = Sequence[str] | None
"""None for everything, nothing for nothing."""

_REPORTED = "exec"
"""A report is a template with this key added; it may be read as a template."""


class TaskTemplate:
    """A task of a template: a registered name, and how it is to run.

    Args:
        name: What the task is registered under.
        uid: Unique in the template; a new id if left out.
        config: Given to the holder, any JSON object.
        timeout: Seconds it may run.
        topics: What it is told while it runs: nothing, the data of these topics, or (None) everything that is dispatched.

    Raises:
        InvalidRequestError: A value cannot be; the message names the task.
    """

    def __init__(
        self,
        name: str,
        uid: str | None = None,
        config: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        topics: Topics = (),
    ) -> None:
        self.uid = new_id() if uid is None else check_name(uid, "task id")
        self.name = check_name(name, f"name of task {self.uid!r}")
        self.config: dict[str, Any] = _config(config, self.uid)
        self.timeout = _timeout(timeout, f"timeout of task {self.uid!r}")
        self.topics = _topics(topics, f"topics of task {self.uid!r}")

    @classmethod
    def from_dict(cls, task_dict: Mapping[str, Any]) -> "TaskTemplate":
        """Return the task that a dict describes: ``name``, and perhaps ``id``, ``config``, ``timeout`` and ``topics``.

        Raises:
            InvalidRequestError: It lacks the name, has another key, or a value cannot be.
        """
        told = _read(task_dict, "task", {"id", "name", "config", "timeout", "topics"})
        if "name" not in told:
            raise TemplateError(f"task {told.get('id')!r}", "has no name")
        return cls(
            told["name"],
            told.get("id"),
            told.get("config"),
            told.get("timeout"),
            told.get("topics", ()),
        )

    def as_dict(self) -> dict[str, Json]:
        """Return the dict that describes it."""
        return {
            "id": self.uid,
            "name": self.name,
            "config": deepcopy(self.config),
            "timeout": self.timeout,
            "topics": _listed(self.topics),
        }

    def __repr__(self) -> str:
        return f"<TaskTemplate name={self.name!r}, uid={self.uid!r}>"


class WorkflowTemplate:
    """A type of workflow: tasks, and which of them follow which.

    Args:
        uid: Its id; a new one if left out.
        title: What people are shown.
        policy: What a trigger means while workflows of it run; `OverrunPolicy.SKIP_UNTIL_UNLOCK` if left out.
        topics: Data of which topics triggers it: all (None), none, or these.
        timeout: Seconds that a workflow may run.
        schema: Its version.

    Raises:
        InvalidRequestError: A value cannot be.
    """

    def __init__(
        self,
        uid: str | None = None,
        *,
        title: str | None = None,
        policy: OverrunPolicy | str | None = None,
        topics: Topics = None,
        timeout: float | None = None,
        schema: int | None = None,
    ) -> None:
        self.uid = new_id() if uid is None else check_name(uid, "template id")
        what = f"template {self.uid!r}"
        if not isinstance(title, str | None):
            raise TemplateError(what, f"title must be text, not {title!r}")
        if isinstance(schema, bool) or not isinstance(schema, int | None):
            raise TemplateError(what, f"schema must be a whole number, not {schema!r}")
        self.title = title
        self.policy = _policy(policy, what)
        self.topics = _topics(topics, f"topics of {what}")
        self.timeout = _timeout(timeout, f"timeout of {what}")
        self.schema = 1 if schema is None else schema
        self.dag: DAG[TaskTemplate] = DAG()
        self._uids: set[str] = set()
        self._compiled: Compiled | None = None

    # -- as data --------------------------------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, wf_dict: Mapping[str, Any]) -> "WorkflowTemplate":
        """Return the template that a dict describes.

        Args:
            wf_dict: ``tasks`` is a list of what `TaskTemplate.from_dict` takes, ``graph`` has for the id of a task the list of the ids of
                those that follow it. ``id``, ``title``, ``policy``, ``topics``, ``timeout`` and ``schema`` may be left out.

        Raises:
            TemplateError: There is another key, two tasks have one id, or the graph names a task that there is not.
            DAGValidationError: Tasks wait for each other.
            InvalidRequestError: A value cannot be.
        """
        keys = {"id", "title", "policy", "topics", "timeout", "schema", "tasks", "graph"}
        told = _read(wf_dict, "template", keys)
        named = {key: told[key] for key in keys - {"id", "tasks", "graph"} if key in told}
        template = cls(told.get("id"), **named)
        for task_dict in _list(told.get("tasks", ()), "tasks"):
            template.add(TaskTemplate.from_dict(task_dict))
        tasks = {task.uid: task for task in template.tasks}
        for name, followers in _read(told.get("graph", {}), "graph", None).items():
            for follower in _list(followers, f"what follows task {name!r}"):
                for task in (name, follower):
                    if task not in tasks:
                        raise TemplateError(f"graph of template {template.uid!r}", _lacks(task))
                template.link(tasks[name], tasks[follower])
            if name not in tasks:
                raise TemplateError(f"graph of template {template.uid!r}", _lacks(name))
        template._check_acyclic()
        return template

    def as_dict(self) -> dict[str, Json]:
        """Return the dict that describes it, whole: `from_dict` makes the same template of it."""
        return {
            "id": self.uid,
            "title": self.title,
            "policy": self.policy.value,
            "topics": _listed(self.topics),
            "timeout": self.timeout,
            "schema": self.schema,
            "tasks": [task.as_dict() for task in self.tasks],
            "graph": {
                task.uid: [follower.uid for follower in followers]
                for task, followers in self.dag.graph.items()
            },
        }

    def copy(self) -> "WorkflowTemplate":
        """Return a template like this one, with tasks of its own."""
        return self.from_dict(self.as_dict())

    def __repr__(self) -> str:
        return f"<WorkflowTemplate title={self.title!r}, uid={self.uid!r}>"

    # -- editing --------------------------------------------------------------------------------------------------------------------

    @property
    def tasks(self) -> list[TaskTemplate]:
        """The tasks, as they were added."""
        return list(self.dag.graph)

    def root(self) -> TaskTemplate:
        """Return the task that begins.

        Raises:
            WorkflowRootTaskError: There is none, or several.
        """
        roots = self.dag.root_nodes()
        if len(roots) != 1:
            raise WorkflowRootTaskError(self.uid, len(roots))
        return roots[0]

    def add(self, task_tmpl: TaskTemplate) -> None:
        """Add a task.

        Raises:
            TypeError: It is no task template.
            TemplateError: There is a task of its id.
        """
        given: object = task_tmpl
        if not isinstance(given, TaskTemplate):
            raise TypeError(f"expected a TaskTemplate, not {given!r}")
        if task_tmpl.uid in self._uids:
            raise TemplateError(f"task {task_tmpl.uid!r}", "the template has a task of this id")
        self.dag.add_node(task_tmpl)
        self._uids.add(task_tmpl.uid)
        self._compiled = None

    def delete(self, task_tmpl: TaskTemplate) -> None:
        """Remove a task and its links.

        Raises:
            TemplateError: It is not in the template.
        """
        self.dag.delete_node(task_tmpl)
        self._uids.discard(task_tmpl.uid)
        self._compiled = None

    def link(self, up_task_tmpl: TaskTemplate, down_task_tmpl: TaskTemplate) -> None:
        """Have a task follow another.

        Raises:
            TemplateError: One of them is not in the template.
        """
        self.dag.add_edge(up_task_tmpl, down_task_tmpl)
        self._compiled = None

    def unlink(self, task_tmpl1: TaskTemplate, task_tmpl2: TaskTemplate) -> None:
        """Remove the link between two tasks, whichever follows the other.

        Raises:
            TemplateError: There is none.
        """
        if task_tmpl1 in self.dag.successors(task_tmpl2):
            task_tmpl1, task_tmpl2 = task_tmpl2, task_tmpl1
        self.dag.delete_edge(task_tmpl1, task_tmpl2)
        self._compiled = None

    # -- running --------------------------------------------------------------------------------------------------------------------

    def validate(self) -> bool:
        """See whether it can run; return True.

        Raises:
            WorkflowRootTaskError: There is no single task to begin with.
            DAGValidationError: Tasks wait for each other.
            UnknownTaskName: No task is registered under a name that it has.
            TemplateError: A holder refuses its configuration.
        """
        plan = self.compiled()
        for task in self.tasks:
            holder, _ = TaskRegistry.get(task.name)
            if (check := getattr(holder, "check_config", None)) is not None:
                check(task.config, f"task {task.uid!r}", plan.parents[task.uid])
        return True

    def compiled(self) -> Compiled:
        """Return what runs: the graph as it is now.

        Raises:
            WorkflowRootTaskError: There is no single task to begin with.
            DAGValidationError: Tasks wait for each other.
        """
        if self._compiled is None:
            root = self.root()
            self._check_acyclic()
            tasks = {task.uid: task for task in self.tasks}
            followers = {
                task.uid: tuple(follower.uid for follower in found)
                for task, found in self.dag.graph.items()
            }
            self._compiled = compiled(self.uid, root.uid, tasks, followers)
        return self._compiled

    def _check_acyclic(self) -> None:
        graph = {task.uid: [f.uid for f in found] for task, found in self.dag.graph.items()}
        check_acyclic(graph, f"template {self.uid!r}")


def _read(given: object, what: str, keys: set[str] | None) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise TemplateError(what, f"must be a dict, not {type(given).__name__}")
    unknown = [] if keys is None else [key for key in given if key not in keys | {_REPORTED}]
    if unknown:
        name = f"{what} {given['id']!r}" if "id" in given else what
        raise TemplateError(name, f"has the unknown key {unknown[0]!r}")
    return given


def _list(given: object, what: str) -> Sequence[Any]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TemplateError(what, f"must be a list, not {given!r}")
    return given


def _lacks(task: object) -> str:
    return f"names task {task!r}, which there is not"


def _listed(topics: tuple[str, ...] | None) -> list[str] | None:
    return None if topics is None else list(topics)


def _config(config: object, uid: str) -> dict[str, Any]:
    if not isinstance(config, Mapping | None):
        raise TemplateError(f"config of task {uid!r}", f"must be a dict, not {config!r}")
    # A copy that nobody else has, down to its depths.
    told: dict[str, Any] = decode(check_payload(dict(config or {}), f"config of task {uid!r}"))
    return told


def _timeout(timeout: float | None, what: str) -> float | None:
    return None if timeout is None else check_seconds(timeout, what, positive=True)


def _topics(topics: object, what: str) -> tuple[str, ...] | None:
    if topics is None:
        return None
    listed = _list(topics, what)
    for topic in listed:
        if not isinstance(topic, str):
            raise TemplateError(what, f"must be a list of texts, not {topics!r}")
    return tuple(listed)


def _policy(policy: OverrunPolicy | str | None, what: str) -> OverrunPolicy:
    if policy is None:
        return OverrunPolicy.SKIP_UNTIL_UNLOCK
    try:
        return OverrunPolicy(policy)
    except ValueError:
        known = ", ".join(OverrunPolicy)
        raise InvalidRequestError(
            f"policy of {what}", f"must be one of {known}, not {policy!r}"
        ) from None
