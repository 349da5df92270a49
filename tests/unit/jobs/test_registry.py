"""The classes that job files may name."""

import importlib.util
import sys
from pathlib import Path

import pytest

from pyworkflow.jobs.errors import JobError, UnknownPluginError
from pyworkflow.jobs.registry import Registry


class Base:
    pass


class One(Base):
    pass


def test_a_class_is_found_by_its_name_alone() -> None:
    registry = Registry("task", Base)

    assert registry.add(One) is One
    assert registry.add(One) is One

    assert list(registry) == ["One"]
    assert registry.get("One") is One
    for name in ("one", "tests.unit.jobs.test_registry.One", "Base", "os", ""):
        with pytest.raises(UnknownPluginError, match="known: One"):
            registry.get(name)


def test_what_is_no_class_of_the_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="@task is for subclasses of Base"):
        Registry("task", Base).add(int)  # type: ignore[arg-type]


def test_two_classes_of_one_name_are_refused() -> None:
    registry = Registry("task", Base)
    registry.add(One)
    other = type("One", (Base,), {"__module__": "elsewhere"})

    with pytest.raises(JobError, match=r"two task classes are named 'One'.*elsewhere"):
        registry.add(other)

    assert registry.get("One") is One


def test_a_file_that_is_imported_under_two_names_is_no_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from tests.unit.jobs.test_registry import Base\nclass Two(Base): pass\n")
    registry = Registry("task", Base)
    for name in ("first_name", "second_name"):
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)

        registry.add(module.Two)

        assert registry.get("Two") is module.Two
