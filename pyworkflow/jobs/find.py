"""Finds the classes of a job: imports the modules in its folders, whose decorators register them.

Folders are imported by their path under names of our own, so that neither `sys.path` nor a folder of the same name in another project
decides what is found. Within a folder that is a package, and within its sub-packages, relative imports work.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

from pyworkflow.failure import describe
from pyworkflow.jobs.errors import JobDefinitionError, Problem
from pyworkflow.jobs.nodes import Path as KeyPath
from pyworkflow.jobs.nodes import shown

DIRECTORIES = ("tasks", "extensions", "loggers")
"""Folders of the root that are looked through if they are there."""

_NO_MODULES = ("__init__.py", "__main__.py", "__pycache__")

PREFIX = "pyworkflow_job_"
"""What the names of modules begin with that were imported from a folder."""


def find(root: Path, directories: Sequence[str] = (), packages: Sequence[str] = ()) -> None:
    """Import all modules of a job, those in folders within folders included.

    What was imported before is left as it is. The root is put on `sys.path`, so that the modules can import what stands beside them.

    Args:
        root: The root of the project; its `DIRECTORIES` come first.
        directories: Further folders, absolute or relative to the root.
        packages: Names of installed packages.

    Raises:
        JobDefinitionError: A folder or a package is missing, or modules cannot be imported; all of them are named.
    """
    problems = [problem for _, problem in search(root, directories, packages)]
    if problems:
        raise JobDefinitionError(*problems)


def search(
    root: Path, directories: Sequence[str], packages: Sequence[str]
) -> list[tuple[KeyPath, Problem]]:
    """Do as `find` does; return what is wrong, each with the key of the job file that is at fault, if one is."""
    root = root.resolve()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    # A folder may have been written since it was last looked into.
    importlib.invalidate_caches()
    found: list[tuple[KeyPath, Problem]] = []
    for folder in (root / name for name in DIRECTORIES):
        if folder.is_dir():
            found += (((), problem) for problem in _import_folder(folder, root))
    for index, name in enumerate(directories):
        path: KeyPath = ("config", "extension_directories", index)
        if (root / name).is_dir():
            found += (((), problem) for problem in _import_folder(root / name, root))
        else:
            found.append((path, Problem(f"there is no folder {name!r}", shown(path))))
    for index, name in enumerate(packages):
        path = ("config", "extension_packages", index)
        if (top := _place_of(name.partition(".")[0])) is None:
            found.append((path, Problem(f"there is no package {name!r}", shown(path))))
        else:
            found += (((), problem) for problem in _import_package(name, top, root))
    return found


def _import_folder(folder: Path, root: Path) -> list[Problem]:
    folder = folder.resolve()
    name = PREFIX + sha256(str(folder).encode()).hexdigest()[:12]
    if name not in sys.modules:
        problem = _attempt(partial(_make_package, name, folder), folder, root)
        if problem is not None:
            sys.modules.pop(name, None)
            return [problem]
    return _import_modules(folder, name, folder, root)


def _make_package(name: str, folder: Path) -> ModuleType:
    """Import a folder as a package, whether it says that it is one or not."""
    code = folder / "__init__.py"
    loader = SourceFileLoader(name, str(code)) if code.is_file() else None
    spec = ModuleSpec(name, loader, origin=str(code) if loader else None, is_package=True)
    spec.has_location = loader is not None
    spec.submodule_search_locations = [str(folder)]
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if loader is not None:
        loader.exec_module(module)
    return module


def _place_of(package: str) -> Path | None:
    """Return where an installed package is; None if there is none."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that was not imported in the usual way, such as __main__
        return None
    places = None if spec is None else spec.submodule_search_locations
    return next((Path(place).resolve() for place in places or ()), None)


def _import_package(name: str, top: Path, root: Path) -> list[Problem]:
    problem = _attempt(partial(importlib.import_module, name), top, root)
    if problem is not None:
        return [problem]
    folders: Iterable[str] = getattr(sys.modules[name], "__path__", ())
    return [
        problem
        for folder in folders
        for problem in _import_modules(Path(folder).resolve(), name, top, root)
    ]


def _import_modules(folder: Path, package: str, top: Path, root: Path) -> list[Problem]:
    """Import the modules in a folder and in the folders in it; return what is wrong with them."""
    try:
        names = list(_modules(folder, package, {folder}))
    except OSError as error:
        return [Problem(f"cannot be read: {error.strerror}", file=str(error.filename))]
    found = (_attempt(partial(importlib.import_module, name), top, root) for name in names)
    return [problem for problem in found if problem is not None]


def _modules(folder: Path, package: str, seen: set[Path]) -> Iterator[str]:
    """Yield the names of the modules in a folder and in the folders in it, in the order of their names."""
    for path in sorted(folder.iterdir()):
        name = f"{package}.{path.stem}"
        if not path.stem.isidentifier() or path.name in _NO_MODULES:
            continue
        if path.suffix == ".py" and path.is_file():
            yield name
        # A link may lead to where we are.
        elif path.is_dir() and not path.suffix and (real := path.resolve()) not in seen:
            seen.add(real)
            if (path / "__init__.py").is_file():
                yield name
            yield from _modules(path, name, seen)


def _attempt(load: Callable[[], ModuleType], folder: Path, root: Path) -> Problem | None:
    """Import something; return what is wrong with it."""
    try:
        load()
    except (Exception, SystemExit) as error:  # a module that is being imported may raise anything
        return _problem(error, folder, root)
    return None


def _problem(error: BaseException, folder: Path, root: Path) -> Problem:
    """Return where in the user's files an import went wrong."""
    file, line = str(folder), None
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).resolve().is_relative_to(folder):
            file, line = frame.filename, frame.lineno
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    place = Path(file)
    shown_file = place.relative_to(root) if place.is_relative_to(root) else place
    return Problem(f"cannot be imported: {describe(error).line}", "", str(shown_file), line)
