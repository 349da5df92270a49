"""Which modules a job imports, and what it says of those that it cannot."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from pyworkflow.jobs.errors import JobDefinitionError
from pyworkflow.jobs.find import PREFIX, find

OURS = (PREFIX, "jobpack", "beside")


@pytest.fixture(autouse=True)
def imports() -> Iterator[None]:
    path = list(sys.path)
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(OURS)}
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(OURS)]:
        del sys.modules[name]
    sys.modules.update(others)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return root


def found() -> list[str]:
    """Return the modules that are imported from folders, by the last parts of their names."""
    return sorted(name.partition(".")[2] for name in sys.modules if name.startswith(f"{PREFIX}"))


def refused(root: Path, *directories: str, packages: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(JobDefinitionError) as caught:
        find(root, directories, packages)
    return [str(problem) for problem in caught.value.problems]


def test_modules_are_found_in_the_three_folders_and_in_folders_in_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "tasks/__init__.py": "",
            "tasks/one.py": "",
            "tasks/inner/two.py": "",
            "tasks/inner/deep/__init__.py": "",
            "tasks/inner/deep/three.py": "",
            "extensions/four.py": "",
            "loggers/five.py": "",
            "other/six.py": "raise RuntimeError",
            "tasks/__main__.py": "raise RuntimeError",
            "tasks/not-a-module.py": "raise RuntimeError",
            "tasks/.hidden/seven.py": "raise RuntimeError",
            "tasks/data.txt": "",
        },
    )

    find(tmp_path)

    names = ["five", "four", "inner", "inner.deep", "inner.deep.three", "inner.two", "one"]
    assert [name for name in found() if name] == names


def test_folders_that_are_not_there_are_no_problem_unless_they_are_named(tmp_path: Path) -> None:
    find(tmp_path)

    assert refused(tmp_path, "here", "/nowhere/at/all") == [
        "config.extension_directories[0]: there is no folder 'here'",
        "config.extension_directories[1]: there is no folder '/nowhere/at/all'",
    ]


def test_directories_may_be_relative_absolute_and_anywhere(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"client/one.py": ""})
    away = write(tmp_path / "away", {"two.py": ""})
    write(tmp_path / "shared", {"three.py": ""})

    find(root, ["./client", str(away), "../shared"])

    assert [name for name in found() if name] == ["one", "three", "two"]


def test_relative_imports_work_within_a_folder(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "tasks/__init__.py": "NAME = 'tasks'",
            "tasks/base.py": "VALUE = 1",
            "tasks/one.py": "from . import NAME\nfrom .base import VALUE\nfrom .inner.two import TWO",
            "tasks/inner/__init__.py": "",
            "tasks/inner/two.py": "from ..base import VALUE\nTWO = VALUE + 1",
        },
    )

    find(tmp_path)

    [one] = [module for name, module in sys.modules.items() if name.endswith(".one")]
    assert (one.NAME, one.VALUE, one.TWO) == ("tasks", 1, 2)
    assert one.__file__ == str(tmp_path / "tasks/one.py")


def test_what_stands_beside_the_folders_can_be_imported(tmp_path: Path) -> None:
    write(
        tmp_path, {"beside_this.py": "VALUE = 7", "tasks/one.py": "from beside_this import VALUE"}
    )

    find(tmp_path)

    [one] = [module for name, module in sys.modules.items() if name.endswith(".one")]
    assert one.VALUE == 7


def test_two_projects_have_folders_of_one_name(tmp_path: Path) -> None:
    first = write(tmp_path / "first", {"tasks/one.py": "WHO = 1", "tasks/__init__.py": ""})
    second = write(tmp_path / "second", {"tasks/one.py": "WHO = 2", "tasks/__init__.py": ""})

    find(first)
    find(second)

    modules = [module for name, module in sys.modules.items() if name.endswith(".one")]
    assert [module.WHO for module in modules] == [1, 2]
    assert "tasks" not in sys.modules


def test_a_module_is_imported_once_however_often_it_is_looked_for(tmp_path: Path) -> None:
    write(tmp_path, {"tasks/one.py": "import sys\nsys.path.append('seen')"})
    (tmp_path / "link").symlink_to("tasks")

    find(tmp_path)
    find(tmp_path, ["tasks", "./link"])

    assert sys.path.count("seen") == 1


def test_a_module_that_was_added_later_is_found(tmp_path: Path) -> None:
    find(write(tmp_path, {"tasks/one.py": ""}))

    find(write(tmp_path, {"tasks/two.py": ""}))

    assert [name for name in found() if name] == ["one", "two"]


def test_packages_are_imported_with_all_their_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write(
        tmp_path / "site",
        {
            "jobpack/__init__.py": "",
            "jobpack/a.py": "",
            "jobpack/sub/__init__.py": "",
            "jobpack/sub/b.py": "",
        },
    )
    monkeypatch.syspath_prepend(str(site))

    find(tmp_path, (), ["jobpack"])

    assert {"jobpack", "jobpack.a", "jobpack.sub", "jobpack.sub.b"} <= set(sys.modules)


def test_packages_that_cannot_be_imported_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write(
        tmp_path / "site",
        {"jobpack/__init__.py": "", "jobpack/bad/__init__.py": "\n1 / 0", "jobpack/bad/x.py": ""},
    )
    monkeypatch.syspath_prepend(str(site))

    missing, main, unknown, broken = refused(
        tmp_path, packages=("no_such_package.x", "__main__", "jobpack.no", "jobpack.bad.x")
    )

    assert missing == "config.extension_packages[0]: there is no package 'no_such_package.x'"
    assert main == "config.extension_packages[1]: there is no package '__main__'"
    assert unknown.endswith("cannot be imported: ModuleNotFoundError: No module named 'jobpack.no'")
    assert (
        broken
        == f"{site}/jobpack/bad/__init__.py:2: cannot be imported: ZeroDivisionError: division by zero".replace(
            f"{tmp_path}/", ""
        )
    )


def test_a_link_to_a_folder_around_it_is_followed_once(tmp_path: Path) -> None:
    write(tmp_path, {"tasks/one.py": "", "tasks/inner/two.py": ""})
    (tmp_path / "tasks/inner/around").symlink_to(tmp_path / "tasks")

    find(tmp_path)

    assert [name for name in found() if name] == ["inner", "inner.two", "one"]


def test_all_modules_that_cannot_be_imported_are_named_with_their_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "tasks/a.py": "import nothing_of_this_name",
            "tasks/b.py": "def f(:\n  pass",
            "tasks/c.py": "x = 1\n\nraise SystemExit('no')",
            "tasks/d.py": "from .helper import make\n\nmake()",
            "tasks/helper.py": "def make():\n    return 1 / 0",
            "loggers/__init__.py": "\nraise KeyError('x')",
        },
    )

    assert refused(tmp_path) == [
        "tasks/a.py:1: cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        "tasks/b.py:1: cannot be imported: SyntaxError: invalid syntax (b.py, line 1)",
        "tasks/c.py:3: cannot be imported: SystemExit: no",
        "tasks/helper.py:2: cannot be imported: ZeroDivisionError: division by zero",
        "loggers/__init__.py:2: cannot be imported: KeyError: 'x'",
    ]


def test_a_module_that_was_mended_is_imported_again(tmp_path: Path) -> None:
    refused(write(tmp_path, {"tasks/__init__.py": "1 / 0", "tasks/one.py": "1 / 0"}))
    refused(write(tmp_path, {"tasks/__init__.py": ""}))

    find(write(tmp_path, {"tasks/one.py": "# mended, and longer than before"}))

    assert "one" in found()
