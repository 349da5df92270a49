#!/usr/bin/env python3
"""Run a task of the project: `./do` lists them, `./do test` is what CI runs.

Needs Python 3.11 and nothing else. The first run makes .venv from the hashed lists in requirements/,
with uv (from PATH, or put into .tools by pip) or else with venv and pip; later runs see by a stamp
that nothing has changed and start at once. Nothing outside this folder is touched but uv's cache.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from configparser import ConfigParser
from hashlib import sha256
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - whoever reads this line has an older one
    version = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        f"pyworkflow needs Python 3.11 or newer, and {sys.executable} is {version}; run `do` with a newer one"
    )

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
# `./do test-all` gives each Python an environment of its own.
VENV = ROOT / os.environ.get("DO_VENV", ".venv")
PEERS = ROOT / ".venv-peers"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
UV_VERSION = "0.13.8"

# What .venv may hold, each set with the extras of setup.cfg that it adds to the one before.
SETS = {"runtime": ("web", "services", "jobs"), "test": ("test", "dev"), "types": ("types",)}

FORMAT = ("ruff format", ["-m", "ruff", "format", "--check", "--quiet", "--output-format=concise"])
LINT = ("ruff check", ["-m", "ruff", "check", "--quiet", "--output-format=concise"])
PYRIGHT = ("basedpyright", ["-m", "basedpyright"])

Task = Callable[[list[str]], int]
TASKS: dict[str, Task] = {}


def task(function: Task) -> Task:
    """Offer a function on the command line; its docstring is its line in the list."""
    TASKS[function.__name__.replace("_", "-")] = function
    return function


@task
def demo(args: list[str]) -> int:
    """Show a workflow at work: FOLDER=~/notes ./do demo [ARGUMENTS of examples.archive]."""
    prepare("runtime")
    # -P: where the caller stands may hold another `examples`.
    return become(["-P", "-m", "examples.archive", *args], cwd=Path.cwd())


@task
def test(args: list[str]) -> int:
    """Check format, lint and types, then run the tests; with ARGUMENTS run only pytest with them."""
    prepare("test")
    if args:
        return become(["-m", "pytest", *args])
    # A type that differs between two Pythons differs between the oldest and the newest, too.
    versions = promised_pythons()
    passed = checks(FORMAT, LINT, mypy(versions[0]), mypy(versions[-1]))
    pytest = ["-m", "pytest", "-n", "auto", "--dist", "loadgroup"]
    if passed:
        return become(pytest)
    # Said before the tests, because the last line belongs to pytest's summary.
    say("✗ a check failed: the tests run all the same, and the exit code will be 1")
    call(pytest)
    return 1


@task
def test_all(args: list[str]) -> int:
    """Run `./do test` on each promised Python that is on this machine; ARGUMENTS go to pytest."""
    failed = False
    for version in promised_pythons():
        python = find_python(version)
        if python is None:
            say(f"· Python {version} is not on this machine")
            continue
        environment = {**os.environ, "DO_VENV": f".tools/python{version}"}
        began = time.monotonic()
        code, output = execute([python, str(ROOT / "do"), "test", *args], environment)
        if code:
            say(output.rstrip())
        # Without the frame that pytest draws around it.
        result = output.rstrip().rpartition("\n")[2].strip("= ")
        mark = "✗" if code else "✓"
        say(f"{mark} Python {version} ({python}) {time.monotonic() - began:.0f}s: {result}")
        failed = failed or code != 0
    return int(failed)


@task
def test_slow(args: list[str]) -> int:
    """Run the tests that are marked slow."""
    prepare("test")
    return become(["-m", "pytest", "-m", "slow", *args])


@task
def lint(args: list[str]) -> int:
    """Check format and lint; `./do format` repairs most of what it finds."""
    prepare("test")
    return 0 if checks(*((name, [*command, *args]) for name, command in (FORMAT, LINT))) else 1


@task
def format(args: list[str]) -> int:
    """Repair what ruff can, and lay the code out."""
    prepare("test")
    fixed = call(["-m", "ruff", "check", "--fix", *args])
    return call(["-m", "ruff", "format", *args]) or fixed


@task
def types(args: list[str]) -> int:
    """Check types strictly, with mypy as each promised Python and with basedpyright."""
    prepare("types")
    checkers = [*map(mypy, promised_pythons()), PYRIGHT]
    return 0 if checks(*((name, [*command, *args]) for name, command in checkers)) else 1


@task
def bench(args: list[str]) -> int:
    """Run the benchmarks and write docs/benchmarks: ./do bench [W1 ...] [--peers] [--help]."""
    prepare("test")
    if "--peers" in args:
        prepare_peers()
    return become(["-m", "benchmarks", *args])


@task
def lock(args: list[str]) -> int:
    """Make requirements/*.txt anew from setup.cfg; --upgrade takes the newest versions."""
    import tomllib

    uv = find_uv() or sys.exit("locking needs uv, which is neither on PATH nor to be had by pip")
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version=3.11"]
    command += ["--generate-hashes", "--custom-compile-command=./do lock", *args, "setup.cfg", "-"]
    extras = [extra for added in SETS.values() for extra in added]
    larger: list[str] = []
    # The largest set first: it constrains the others, so a package has one version in all.
    for name, added in reversed(SETS.items()):
        target = f"requirements/{name}.txt"
        options = [f"--extra={extra}" for extra in extras] + larger + [f"--output-file={target}"]
        must(f"lock {target}", [*command, *options], given="\n".join(build))
        extras = extras[: len(extras) - len(added)]
        larger = [f"--constraints={target}"]
    return 0


@task
def python(args: list[str]) -> int:
    """Run the environment's Python: ./do python [ARGUMENTS]."""
    prepare("test")
    return become(args, cwd=Path.cwd())


@task
def run(args: list[str]) -> int:
    """Run one of the environment's programs: ./do run pyworkflow --help."""
    if not args:
        sys.exit("usage: ./do run COMMAND [ARGUMENTS]")
    return shell(args)


@task
def shell(args: list[str]) -> int:
    """Run a command, or else your shell, with the environment's programs on PATH."""
    prepare("test")
    command = args or [os.environ.get("SHELL") or os.environ.get("COMSPEC") or "sh"]
    program = shutil.which(command[0]) or sys.exit(f"no such program: {command[0]}")
    return become(command[1:], program=program, cwd=Path.cwd())


@task
def clean(args: list[str]) -> int:
    """Remove caches and build products; with --all the environment too."""
    rubbish = ["build", "dist", "htmlcov", ".coverage", ".hypothesis", ".import_linter_cache"]
    rubbish += [".mypy_cache", ".pytest_cache", ".ruff_cache", "*.egg-info"]
    if args == ["--all"]:
        rubbish += [".venv", ".venv-peers", ".tools"]
    elif args:
        sys.exit("usage: ./do clean [--all]")
    found = [path for pattern in rubbish for path in ROOT.glob(pattern)]
    for folder in ("pyworkflow", "tests", "examples", "benchmarks"):
        found += (ROOT / folder).rglob("__pycache__")
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        say(f"✓ remove {path.relative_to(ROOT)}")
    return 0


def prepare(wanted: str) -> None:
    """See to it that .venv holds a set of requirements, and make it the active environment."""
    sets = list(SETS)
    if not any(is_current(name) for name in sets[sets.index(wanted) :]):
        install(wanted)
    os.environ["VIRTUAL_ENV"] = str(VENV)
    os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    os.environ.pop("PYTHONHOME", None)


def prepare_peers() -> None:
    """See to it that .venv-peers holds what the benchmarks compare with, as far as it is to be had."""
    wanted = ROOT / "benchmarks" / "peers" / "requirements.txt"
    mark = PEERS / ".do-peers"
    if mark.exists() and mark.read_text() == wanted.read_text():
        return
    uv = find_uv()
    environment = uv_environment() if uv else dict(os.environ)
    python = str(PEERS / PYTHON.relative_to(VENV))
    if uv:
        make = [uv, "venv", "--clear", "--python", sys.executable, str(PEERS)]
        command = [uv, "pip", "install", "--python", python]
    else:
        make = [sys.executable, "-m", "venv", "--clear", str(PEERS)]
        command = [python, "-m", "pip", "install", "--quiet"]
    must("make .venv-peers", make, environment)
    if check("install all peers", [*command, "-r", str(wanted)], environment):
        mark.write_text(wanted.read_text())
        return
    # One that is not to be had must not take the others with it: the report names those that are missing.
    for line in wanted.read_text().splitlines():
        if line and not line.startswith("#"):
            check(f"install {line}", [*command, line], environment)


def is_current(name: str) -> bool:
    """Tell whether a set is installed just as the files describe it now."""
    try:
        return PYTHON.exists() and stamp(name).read_text() == fingerprint(name)
    except FileNotFoundError:
        return False


def stamp(name: str) -> Path:
    """Return the file that says what a set was installed from."""
    return VENV / f".do-{name}"


def fingerprint(name: str) -> str:
    """Return a hash of all that decides what an installed set looks like."""
    # pyvenv.cfg has the Python's version and place; the editable install, this folder's.
    sources = [ROOT / "setup.cfg", ROOT / "pyproject.toml", ROOT / f"requirements/{name}.txt"]
    contents = [source.read_bytes() for source in (*sources, VENV / "pyvenv.cfg")]
    contents.insert(0, str(ROOT).encode())
    return sha256(b"\0".join(contents)).hexdigest()


def install(name: str) -> None:
    """Install a set of requirements, and this project as editable, into .venv."""
    uv = find_uv()
    if uv:
        environment = uv_environment()
        if not PYTHON.exists():
            command = [uv, "venv", "--clear", "--python", sys.executable, str(VENV)]
            must(f"make {VENV.relative_to(ROOT)}", command, environment)
        command = [uv, "pip", "install", "--python", str(PYTHON)]
    else:
        environment = dict(os.environ)
        if not PYTHON.exists():
            must(
                f"make {VENV.relative_to(ROOT)} without uv",
                [sys.executable, "-m", "venv", "--clear", str(VENV)],
                hint="Install python3-venv (Debian's name for it) or uv, and run ./do again.",
            )
        elif call(["-c", "import pip"], quiet=True):
            must(f"add pip to {VENV.relative_to(ROOT)}", [str(PYTHON), "-m", "ensurepip"])
        command = [str(PYTHON), "-m", "pip", "install", "--quiet"]
    requirements = ["--require-hashes", "-r", f"requirements/{name}.txt"]
    must(f"install requirements/{name}.txt", [*command, *requirements], environment)
    # The list holds the build backend too, so that nothing unpinned is fetched to build with.
    project = ["--no-deps", "--no-build-isolation", "-e", "."]
    must("install pyworkflow", [*command, *project], environment)
    stamp(name).write_text(fingerprint(name))


def promised_pythons() -> list[str]:
    """Return the Python versions that setup.cfg promises, the oldest first."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    last_words = [line.rpartition(" ")[2] for line in setup["metadata"]["classifiers"].splitlines()]
    return [word for word in last_words if word.startswith("3.")]


def mypy(version: str) -> tuple[str, list[str]]:
    """Return the check of types as one Python version, whichever runs it."""
    command = ["-m", "mypy", "--no-error-summary", f"--python-version={version}"]
    return f"mypy as Python {version}", command


def find_python(version: str) -> str | None:
    """Return a Python of this version: on PATH, of pyenv, or one that uv knows; or None."""
    name = f"python{version}"
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders += map(str, sorted(pyenv.glob(f"versions/{version}.*/bin"), reverse=True))
    candidates = [sys.executable, *(path for f in folders if (path := shutil.which(name, path=f)))]
    uv = find_uv()
    if uv:
        code, output = execute([uv, "python", "find", "--no-project", version], uv_environment())
        candidates += [output.strip()] if code == 0 else []
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in candidates:
        # A name on PATH may be a shim with no program behind it.
        code, output = execute([candidate, "-c", question])
        if code == 0 and output.strip() == version:
            return candidate
    return None


def find_uv() -> str | None:
    """Return a uv that runs, bringing one into .tools if need be, or None if there is none."""
    local = str(TOOLS / "bin" / "uv")
    for candidate in (shutil.which("uv"), shutil.which(local)):
        # A name on PATH may be a shim with no program behind it.
        if candidate and execute([candidate, "--version"])[0] == 0:
            return candidate
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    command += ["--only-binary=:all:", "--upgrade", "--target", str(TOOLS), f"uv=={UV_VERSION}"]
    began = time.monotonic()
    code, output = execute(command, {**os.environ, "PIP_USER": "0"})
    if code == 0:
        say(f"✓ bring uv {UV_VERSION} into .tools {time.monotonic() - began:.1f}s")
        return shutil.which(local)
    reason = output.strip().rpartition("\n")[2]
    say(f"· no uv ({reason}): going on with venv and pip")
    return None


def uv_environment() -> dict[str, str]:
    """Return the environment for uv, which is told there what pip would be told."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    for pip, uv in (
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_PROXY", "ALL_PROXY"),
        ("PIP_CERT", "SSL_CERT_FILE"),
    ):
        if pip in environment:
            environment.setdefault(uv, environment[pip])
    return environment


def checks(*commands: tuple[str, list[str]]) -> bool:
    """Run all checks, so that one run shows every fault, and tell whether they passed."""
    results = [check(name, [str(PYTHON), *command]) for name, command in commands]
    return all(results)


def must(
    name: str,
    command: Sequence[str],
    environment: dict[str, str] | None = None,
    *,
    given: str | None = None,
    hint: str = "",
) -> None:
    """Run a command as one step; if it fails, stop."""
    if not check(name, command, environment, given=given):
        sys.exit(hint or 1)


def check(
    name: str,
    command: Sequence[str],
    environment: dict[str, str] | None = None,
    *,
    given: str | None = None,
) -> bool:
    """Run a command as one step: a line with its time, and what it printed only if it fails."""
    began = time.monotonic()
    code, output = execute(command, environment, given)
    say(f"{'✗' if code else '✓'} {name} {time.monotonic() - began:.1f}s")
    if code:
        say(output.rstrip())
    return code == 0


def execute(
    command: Sequence[str], environment: dict[str, str] | None = None, given: str | None = None
) -> tuple[int, str]:
    """Run a command at the top of this folder; return its exit code and all that it printed."""
    process = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        input=given or "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return process.returncode, process.stdout


def call(args: Sequence[str], *, quiet: bool = False) -> int:
    """Run the environment's Python at the top of this folder; return its exit code."""
    output = subprocess.DEVNULL if quiet else None
    command = [str(PYTHON), *args]
    return subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False).returncode


def become(args: Sequence[str], *, program: str = str(PYTHON), cwd: Path = ROOT) -> int:
    """Turn into a program, so that signals, the terminal and the exit code are its own."""
    if os.name == "nt":  # exec gives the prompt back at once there
        return subprocess.run([program, *args], cwd=cwd, check=False).returncode
    os.chdir(cwd)
    os.execv(program, [program, *args])


def say(line: str) -> None:
    """Write to standard error: standard output belongs to what the task runs."""
    print(line, file=sys.stderr, flush=True)


def main(args: list[str]) -> int:
    """Run the task that the first argument names."""
    if not args or args[0] in ("help", "-h", "--help"):
        print("usage: ./do TASK [ARGUMENTS]\n")
        for name, function in TASKS.items():
            print(f"  {name:<10} {function.__doc__}")
        return 0
    name, *rest = args
    if name not in TASKS:
        say(f"no task {name!r}; there are: {', '.join(TASKS)}")
        return 2
    return TASKS[name](rest)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
