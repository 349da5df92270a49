"""The top level of the repository, and what a wheel carries of it."""

import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from zipfile import ZipFile

import pytest

from pyworkflow.backend.registry import BUILT_IN, GROUP

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("link", "folder"), [("backends", "pyworkflow/backend"), ("workers", "pyworkflow/worker")]
)
def test_a_link_at_the_top_leads_into_the_package(link: str, folder: str) -> None:
    if (ROOT / link).is_file():
        pytest.skip("git made a plain file of the link, as it does where links need a privilege")

    assert (ROOT / link).is_symlink()
    assert (ROOT / link).resolve() == ROOT / folder


def test_setup_cfg_holds_the_metadata() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    # With a project table, setuptools would ignore the metadata of setup.cfg.
    assert "project" not in pyproject


def test_the_entry_points_open_the_built_in_backends_as_the_registry_does() -> None:
    setup = ConfigParser(delimiters=("=",), interpolation=None)
    setup.read(ROOT / "setup.cfg", "utf-8")
    lines = setup["options.entry_points"][GROUP].strip().splitlines()
    points = {name.strip(): point.strip() for name, point in (line.split("=") for line in lines)}

    opened = {name: EntryPoint(name, points[name], GROUP).load() for name in points}

    assert opened == {name: import_module(module).open_url for name, module in BUILT_IN.items()}


def test_the_wheel_holds_the_files_of_the_package_and_no_others(tmp_path: Path) -> None:
    expected = files_of_the_package()

    packed = {name for name in build_wheel(tmp_path) if ".dist-info/" not in name}

    assert packed == expected


def files_of_the_package() -> set[str]:
    """Return the files under pyworkflow/ that git tracks or would add."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # A build machine's checkout may belong to another user, which git otherwise refuses.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listing = subprocess.run(
        [*command, "pyworkflow"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    names = filter(None, listing.stdout.split("\0"))
    return {name for name in names if (ROOT / name).exists()}


def build_wheel(folder: Path) -> list[str]:
    """Build a wheel in a copy of the source, and return the names of the files in it."""
    # In a copy, because setuptools packs again what an earlier build left in build/.
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pyworkflow", source / "pyworkflow", ignore=ignored)
    for link in ("backends", "workers"):
        if (ROOT / link).is_symlink():
            shutil.copy(ROOT / link, source, follow_symlinks=False)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    result = subprocess.run([*command, str(source)], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    [wheel] = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        return archive.namelist()
