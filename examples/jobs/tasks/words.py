"""Tasks that count words together, and one that reports what they counted."""

from pathlib import Path

from pydantic import BaseModel

from pyworkflow.jobs.task import Task, task


class Text(BaseModel):
    """A text with its title."""

    title: str
    words: str


@task
class CountWords(Task):
    """Counts the words of a text."""

    text: Text

    def run(self) -> None:
        """Add them to those that other tasks have counted."""
        print(f"counting {self.text.title}")
        with self.shared_dict.transaction() as values:
            counts = values.setdefault("counts", {})
            for word in self.text.words.split():
                counts[word] = counts.get(word, 0) + 1


@task
class RequireFile(Task):
    """Fails if a file is missing."""

    path: Path

    def on_restart(self) -> None:
        """Say so."""
        self.logger.info("looking again")

    def run(self) -> None:
        """Look for it."""
        self.path.stat()


@task
class Report(Task):
    """Prints what was counted."""

    def run(self) -> None:
        """Print."""
        for word, count in sorted(self.shared_dict["counts"].items()):
            print(f"{count} {word}")
