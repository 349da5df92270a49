"""What all handlers share: the manager, who may do what, threads, the feed, figures."""

from msgspec import Struct

from pyworkflow.manager import Manager
from pyworkflow.services import Services
from pyworkflow.web.hub import Hub
from pyworkflow.web.limits import Limits
from pyworkflow.web.meters import Meters
from pyworkflow.web.pool import Pool
from pyworkflow.web.sending import Sender
from pyworkflow.web.sessions import Sessions
from pyworkflow.web.tokens import Tokens


class Site(Struct, frozen=True, eq=False):
    """One running application.

    Attributes:
        manager: Does the work.
        tokens: Who may do what; None where anybody may do everything.
        hosts: Names that a request may call this server by.
        limits: Bounds of requests.
        sessions: Who is logged in.
        pool: Where calls of the backend run.
        hub: Tells what happens.
        meters: Counts requests and events.
        services: The services, their workflows and events.
        sender: Sends events for requests.
    """

    manager: Manager
    tokens: Tokens | None
    hosts: frozenset[str]
    limits: Limits
    sessions: Sessions
    pool: Pool
    hub: Hub
    meters: Meters
    services: Services
    sender: Sender


def make_site(
    manager: Manager,
    tokens: Tokens | None,
    hosts: frozenset[str],
    limits: Limits,
    services: Services,
) -> Site:
    """Return a site."""
    pool, meters = Pool(limits), Meters()
    hub = Hub(manager.backend, pool, meters.count_event, limits.streams)
    return Site(
        manager=manager,
        tokens=tokens,
        hosts=hosts,
        limits=limits,
        sessions=Sessions(tokens),
        pool=pool,
        hub=hub,
        meters=meters,
        services=services,
        sender=Sender(services, pool, limits.events),
    )
