"""``python -m benchmarks.engine --peer PYTHON``: the event engine beside the first tukio, in turns, on the same graph of three tasks.

PYTHON is an interpreter that has tukio; 3.8 is the last one that it runs on. Without it only ours is measured.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
WANTED = 2.0
"""How many times tukio's rates ours are to be."""

TITLES = {
    "begun": "started, until all of them run at once",
    "whole": "from the first start to the last end",
}


def rates(python: str, modules: "tuple[str, str]", count: int) -> dict[str, float]:
    """Run the program once and return its figures."""
    command = [python, "-m", "benchmarks.engine_program", *modules, str(count)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> int:
    """Measure in turns, print a table, and return 1 if ours is not twice as fast."""
    parser = argparse.ArgumentParser(prog="benchmarks.engine", description=__doc__)
    parser.add_argument("--peer", help="Python that has tukio")
    parser.add_argument("--count", type=int, default=1000, help="workflows; %(default)s")
    parser.add_argument("--repeat", type=int, default=7, help="turns; %(default)s")
    given = parser.parse_args()
    contenders = {"pyworkflow": (sys.executable, ("pyworkflow.engine", "pyworkflow.engine"))}
    if given.peer:
        contenders["tukio"] = (given.peer, ("tukio", "tukio.task"))
    turns = [
        {name: rates(*how, given.count) for name, how in contenders.items()}
        for _ in range(given.repeat)
    ]
    print(
        f"{given.count} workflows at once, workflows per second of processor time, medians of {given.repeat} turns\n"
    )
    print("| | " + " | ".join(contenders) + (" | ratio |" if given.peer else " |"))
    print("|---" * (len(contenders) + 1 + bool(given.peer)) + "|")
    enough = True
    for figure, title in TITLES.items():
        cells = [f"{median(t[name][figure] for t in turns):,.0f}" for name in contenders]
        if given.peer:
            # Of one turn, because both had the same minute of the machine.
            ratio = median(t["pyworkflow"][figure] / t["tukio"][figure] for t in turns)
            enough = enough and ratio >= WANTED
            cells.append(f"{ratio:.1f}")
        print(f"| {title} | " + " | ".join(cells) + " |")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
