"""The seed's three services, its workflow and its event, as the example runs them."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_text_pipeline_gives_exactly_what_the_seed_promises() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.services"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "message": "! GNINROM EHT NI ESIR LLIW NUS EHT",
        "space_count": 7,
    }
