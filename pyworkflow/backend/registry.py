"""From a URL to a backend, imported only when asked for."""

from collections.abc import Callable
from importlib import import_module

from pyworkflow.backend.base import Backend
from pyworkflow.errors import InvalidRequestError

GROUP = "pyworkflow.backends"
"""The entry point group. The name is the URL's scheme; the object is called with the whole URL and returns a `Backend`."""


BUILT_IN = {
    "memory": "pyworkflow.backend.memory",
    "postgresql": "pyworkflow.backend.postgresql",
    "sqlite": "pyworkflow.backend.sqlite",
    "swf": "pyworkflow.backend.amazonswf",
}
"""Modules of this package's own backends; each has an ``open_url``. Looking up entry points takes longer than opening a file."""


def schemes() -> list[str]:
    """Return the schemes of the backends that are installed."""
    from importlib.metadata import entry_points

    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def connect(url: str) -> Backend:
    """Open a backend by its URL, for example ``memory:`` or ``sqlite:///path/to/file.db``.

    A scheme ``blinker+sqlite`` wraps the backend so that it sends blinker signals.

    Raises:
        InvalidRequestError: No backend has this scheme, or the rest of the URL is not right for it.
        BackendUnavailableError: The store cannot be opened.
    """
    scheme, _, _ = url.partition(":")
    if scheme.startswith("blinker+"):
        from pyworkflow.backend.blinker import BlinkerBackend

        return BlinkerBackend(connect(url.removeprefix("blinker+")))
    if scheme in BUILT_IN:
        try:
            opener: Callable[[str], Backend] = import_module(BUILT_IN[scheme]).open_url
        except ModuleNotFoundError as error:
            raise InvalidRequestError(
                f"backend {scheme!r}",
                f"needs {error.name}: pip install 'pyworkflow-swf[{scheme}]'",
            ) from error
        return opener(url)
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP, name=scheme):
        opened: Backend = point.load()(url)
        return opened
    raise InvalidRequestError(
        f"backend {url!r}", f"no backend has this scheme; there are: {', '.join(schemes())}"
    )
