"""Signal handlers and finalizers run in the middle of whatever their thread does: a call that they make would wait for its own thread."""

from threading import RLock

from pyworkflow.errors import ReentrantCallError


def once(lock: RLock) -> RLock:
    """Return a lock, unless this thread has it already.

    Raises:
        ReentrantCallError: It has.
    """
    if lock._is_owned():  # type: ignore[attr-defined] # pyright: ignore
        raise ReentrantCallError(
            "this thread is in the middle of another call of the backend, from which a signal handler or a finalizer makes "
            "this one: let it set a flag, and make the call later"
        )
    return lock
