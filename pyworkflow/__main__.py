"""``python -m pyworkflow``."""

from pyworkflow.cli import main

main()
