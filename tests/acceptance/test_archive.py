"""The archive example, on a folder of the tests' own, with a worker that is killed."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

ROOT = Path(__file__).parents[2]


def archive(folder: Path, output: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "examples.archive", "--folder", str(folder)]
    return subprocess.run(
        [*command, "--output", str(output), *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_folder_is_archived_though_a_worker_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    for number in range(60):
        file = folder / f"folder{number % 5}" / f"file{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n" * 20_000)
    (folder / "empty").mkdir()
    (folder / "top.txt").write_text("top")

    done = archive(folder, tmp_path / "out", "--workers", "2")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -9" in done.stdout
    assert "confirming" in done.stdout
    # Which of them did anything is up to the machine.
    assert re.search(r"worker-\d+ \|", done.stdout)
    assert "61 files" in done.stdout
    assert "0 problems" in done.stdout


def test_what_it_says_last_shows_what_it_did(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "top.txt").write_text("top")

    done = archive(folder, tmp_path / "the output", "--workers", "1", "--no-kill")

    *_, command, address = done.stdout.splitlines()
    serve = shlex.split(command.removeprefix("look at what happened: "))
    path = urlsplit(address.removeprefix("and open ")).path
    # From anywhere, on a port of its own since the usual one may be taken.
    server = subprocess.Popen(
        [*serve, "--port", "0", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        with server.stdout:
            base = json.loads(server.stdout.readline())["address"].rstrip("/")
            listed = httpx2.get(f"{base}/", timeout=60).text
            shown = httpx2.get(f"{base}{path}", timeout=60).text
    finally:
        server.kill()
        server.wait()
    assert f'href="{path}"' in listed
    assert "completed" in shown
    assert "top.txt.gz" in shown
    assert urlsplit(address.removeprefix("and open ")).port == 8765


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    done = archive(tmp_path / "nowhere", tmp_path / "out")

    assert done.returncode == 2
    assert "is no folder" in done.stderr
