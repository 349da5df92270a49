"""A small project for job files, and classes that they may name."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from pyworkflow.jobs.registry import Registry


class Part(BaseModel):
    """What a job file may name, as far as its parameters go."""

    model_config = ConfigDict(extra="forbid")


class Protocol(Enum):
    HTTP = "HTTP"
    HTTPS = "HTTPS"


class Details(BaseModel):
    model_config = ConfigDict(extra="forbid")

    protocol: Protocol = Protocol.HTTPS
    base_url: str


class DoSomething(Part):
    some_required_param: str
    added_optional_param: int = 1


class Cleanup(Part):
    pass


class Download(Part):
    api_details: Details
    retries: list[int] = []


class Picky(Part):
    flag: bool = False
    number: float = 0

    @field_validator("number")
    @classmethod
    def not_negative(cls, number: float) -> float:
        if number < 0:
            raise ValueError("must not be negative")
        if number > 100:
            raise RuntimeError("never thought of that")
        return number


class FileLogger(Part):
    base_log_dir: str = "./logs"


class Bell(Part):
    tune: str


class Database(Part):
    host: str
    port: int


def registries() -> dict[str, Registry[Any]]:
    members: Mapping[str, list[type[Part]]] = {
        "task": [DoSomething, Cleanup, Download, Picky],
        "logger": [FileLogger],
        "extension": [Bell],
        "checkpointer": [Database],
    }
    found: dict[str, Registry[Any]] = {}
    for kind, classes in members.items():
        found[kind] = Registry(kind, Part)
        for cls in classes:
            found[kind].add(cls)
    return found


def project(root: Path, **files: str) -> Path:
    """Write files; a double underscore in a name stands for a slash, and all are YAML."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
