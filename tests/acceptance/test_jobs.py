"""The example of a job: it fails, is helped, and goes on."""

import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "jobs"


def test_the_job_fails_and_goes_on_where_it_failed(tmp_path: Path) -> None:
    root = tmp_path / "jobs"
    kept = shutil.ignore_patterns("logs", ".flowmancer", "signed", "__pycache__")
    shutil.copytree(EXAMPLE, root, ignore=kept)

    def main(*arguments: str) -> int:
        command = [sys.executable, str(root / "main.py"), *arguments]
        return subprocess.run(command, cwd=tmp_path, check=False, timeout=200).returncode

    assert main() == 2
    assert "FileNotFoundError" in (root / "logs" / "errors.txt").read_text(encoding="utf-8")

    (root / "signed").touch()
    assert main("-r") == 0
    (report,) = root.glob("logs/*/report.log")
    said = [line.partition(" - ")[2] for line in report.read_text(encoding="utf-8").splitlines()]
    assert said == ["1 Ishmael", "1 and", "1 call", "2 curiouser", "1 me"]
    assert len(list(root.glob("logs/*/count-alice.log"))) == 1
    last = sorted(root.glob("logs/*/wait-for-signature.log"))[-1]
    assert "looking again" in last.read_text(encoding="utf-8")
