"""The JSON Schema of job files, for editors: they complete keys, and mark what cannot be.

What a schema cannot say (a dependency that is no task, a missing parameter) is told by `pyworkflow job check`.
"""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct
from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from pyworkflow.codec import Json
from pyworkflow.graph.validate import MAX_STEP_NAME
from pyworkflow.jobs.definition import JobConfig, PluginDefinition, TaskDefinition
from pyworkflow.jobs.plugins import Classes
from pyworkflow.jobs.shape import CONFIG_KEYS, TASK_KEYS, VERSION, plugin_keys

Schema = dict[str, Json]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SUBSTITUTION = r"\$(ENV|SYS|VAR)\{"

TOLD = {
    "name": "The name of the job, by which it is restarted.",
    "max_concurrency": "Tasks that run at a time; 0 or less is no limit.",
    "extension_directories": "Further folders with classes, absolute or relative to the root of the project.",
    "extension_packages": "Installed packages with classes.",
    "synchro_interval_seconds": "Seconds; accepted for the sake of older files.",
    "loggers_interval_seconds": "Seconds between two deliveries of messages to the loggers.",
    "extensions_interval_seconds": "Seconds between two deliveries of changes to the extensions.",
    "checkpointer_interval_seconds": "Seconds between two checkpoints.",
    "task": "The name of a class with the decorator @task.",
    "dependencies": "The tasks that must have completed before.",
    "max_attempts": "Tries in all, the first included.",
    "backoff": "Seconds between two tries.",
    "parameters": "The values of the fields of the class.",
    "plugin": "The name of a class with the decorator @{kind}.",
}
"""What editors show, by field."""

_MINIMUM = {"max_attempts": 1, "backoff": 0}


def schema_of(classes: Classes | None = None) -> Schema:
    """Return the JSON Schema of job files.

    Args:
        classes: The registries of the classes of a project, whose names and parameters are part of its schema.
    """
    known = classes or {}
    kinds = ("logger", "extension", "checkpointer")
    plugins = {kind: _table(PluginDefinition, plugin_keys(kind), kind, known) for kind in kinds}
    config = _table(JobConfig, CONFIG_KEYS)
    for name in config["properties"]:
        if name.endswith("_seconds"):
            config["properties"][name]["minimum"] = 0
    named = {"anyOf": [{"required": ["task"]}, {"required": ["variant"]}]}
    return {
        "$schema": DIALECT,
        "title": "A job of pyworkflow",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "version": {"description": "The version of the form.", "enum": [VERSION, None]},
            "include": _list("Files below the root of the project that this one is merged over."),
            "config": _or_nothing(config),
            "tasks": _section("The tasks by name.", {"$ref": "#/$defs/task"}),
            "loggers": _section(
                "The loggers by name; left out, a FileLogger.", {"$ref": "#/$defs/logger"}
            ),
            "extensions": _section("The extensions by name.", {"$ref": "#/$defs/extension"}),
            "checkpointer": _or_nothing(plugins.pop("checkpointer")),
            "aliases": {"description": "Anything, for anchors."},
        },
        # A file that includes others may leave to them what it does not change.
        "if": {"not": {"required": ["include"]}},
        "then": {
            "required": ["tasks"],
            "properties": {"tasks": {"minProperties": 1, "additionalProperties": named}},
        },
        "$defs": {
            "task": _table(TaskDefinition, TASK_KEYS, "task", known),
            **plugins,
            **dict(_models(known)),
        },
    }


def _table(
    struct: type[Struct], keys: Mapping[str, str], kind: str = "", classes: Classes | None = None
) -> Schema:
    """Return the schema of what becomes a struct."""
    kinds = {field.name: _type_of(field.type) for field in msgspec.structs.fields(struct)}
    properties = {key: _property(field, kinds[field], kind) for key, field in keys.items()}
    table: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    twins = [[k for k, f in keys.items() if f == field] for field in kinds]
    # What is no object has every property that is required of objects.
    doubled = [{"type": "object", "required": pair} for pair in twins if len(pair) > 1]
    if doubled:
        table["not"] = {"anyOf": doubled}
    registry = (classes or {}).get(kind)
    if registry is not None:
        called, *_ = (key for key, field in keys.items() if field in ("task", "name"))
        for key in (called, "variant"):
            properties[key]["anyOf"] = [{"enum": list(registry)}, {"pattern": SUBSTITUTION}]
        table["allOf"] = [
            _taking(key, kind, name) for name in registry for key in (called, "variant")
        ]
    return table


def _taking(key: str, kind: str, name: str) -> Schema:
    return {
        "if": {"properties": {key: {"const": name}}, "required": [key]},
        "then": {"properties": {"parameters": {"$ref": f"#/$defs/{kind}.{name}"}}},
    }


def _type_of(annotation: object) -> str:
    kind: str = msgspec.json.schema(annotation)["type"]
    return kind


def _property(field: str, kind: str, owner: str) -> Schema:
    is_plugin = owner not in ("", "task") and field == "name"
    told = TOLD["plugin"].format(kind=owner) if is_plugin else TOLD[field]
    if kind == "array":
        return _list(told)
    if kind not in ("integer", "number"):
        return {"description": told, "type": [kind, "null"]}
    # Patterns are for text and minima for numbers, so one schema has both.
    types = [kind, "string", "null"]
    number: Schema = {"description": told, "type": types, "pattern": SUBSTITUTION}
    if field in _MINIMUM:
        number["minimum"] = _MINIMUM[field]
    return number


def _list(told: str) -> Schema:
    return {"description": told, "type": ["array", "null"], "items": {"type": "string"}}


def _section(told: str, each: Schema) -> Schema:
    return {
        "description": told,
        "type": ["object", "null"],
        "propertyNames": {"minLength": 1, "maxLength": MAX_STEP_NAME, "pattern": "^[^:/|]*$"},
        "additionalProperties": each,
    }


def _or_nothing(schema: Schema) -> Schema:
    return {**schema, "type": ["object", "null"]}


def _models(classes: Classes) -> Iterator[tuple[str, Schema]]:
    for kind, registry in classes.items():
        for name in registry:
            yield f"{kind}.{name}", _model(registry.get(name), f"#/$defs/{kind}.{name}")


def _model(model: type[BaseModel], here: str) -> Schema:
    """Return the schema of the parameters of a class, each of which may be a substitution as well."""
    try:
        schema = model.model_json_schema(ref_template=f"{here}/$defs/{{model}}")
    except PydanticInvalidForJsonSchema:  # a type that no schema can tell
        return {"type": ["object", "null"]}
    schema["type"] = ["object", "null"]
    # Others may come from the files that are included.
    schema.pop("required", None)
    text = {"type": "string", "pattern": SUBSTITUTION}
    properties = schema.get("properties", {})
    schema["properties"] = {key: {"anyOf": [value, text]} for key, value in properties.items()}
    return schema
