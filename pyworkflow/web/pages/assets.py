"""Style and scripts, read once, from the package."""

import hashlib
from functools import cache
from pathlib import Path

from msgspec import Struct
from starlette.responses import Response

from pyworkflow.web.endpoint import Call, Endpoint
from pyworkflow.web.problems import Problem

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class AssetQuery(Struct, forbid_unknown_fields=True):
    """Which version: a new one has a new address, so browsers may keep this one."""

    v: str = ""


class Asset(Struct, frozen=True):
    """A file."""

    content: bytes
    media_type: str
    version: str


@cache
def assets() -> dict[str, Asset]:
    """Return all files by name."""
    folder = Path(__file__).parent.parent / "static"
    return {path.name: _read(path) for path in sorted(folder.iterdir()) if path.suffix in TYPES}


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:12])


@cache
def versions() -> dict[str, str]:
    """Return the version of each file."""
    return {name: asset.version for name, asset in assets().items()}


async def static(call: Call) -> Response:
    """Send a file."""
    asset = assets().get(str(call.request.path_params["name"]))
    if asset is None:
        raise Problem(404, "there is no such file")
    query: AssetQuery = call.query
    fresh = query.v == asset.version
    kept = "public, max-age=31536000, immutable" if fresh else "no-cache"
    headers = {"Cache-Control": kept, "ETag": f'"{asset.version}"'}
    return Response(asset.content, 200, headers, asset.media_type)


ENDPOINTS = [
    Endpoint(
        method="GET",
        path="/static/{name}",
        scope=None,
        handler=static,
        summary="Send a file of the dashboard.",
        query=AssetQuery,
        page=True,
    ),
]
