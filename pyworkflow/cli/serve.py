"""Commands of the web door: serve, token."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from pyworkflow.cli.app import app_option, managed
from pyworkflow.cli.common import json_option, needing, opened
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, safe
from pyworkflow.cli.services import (
    ServiceOptions,
    callback_host,
    make_services,
    service_options,
    working,
)
from pyworkflow.errors import InvalidRequestError

if TYPE_CHECKING:
    from pyworkflow.manager import Manager
    from pyworkflow.web.tokens import Tokens

TOKENS = "PYWORKFLOW_TOKENS"
"""The environment's tokens. No option: everybody on a machine can read its command lines."""


@click.command(cls=Command)
@app_option(required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8765,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the tokens that are accepted, made by `pyworkflow token`.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    help="A name by which requests may call this server, beside that of --host.",
)
@service_options
@click.option("--root-path", default="", help="The path below which a proxy serves this server.")
@json_option
@click.pass_context
def serve(
    context: click.Context,
    app: str | None,
    host: str,
    port: int,
    token_file: Path | None,
    hosts: tuple[str, ...],
    root_path: str,
    as_json: bool,
    **given: Unpack[ServiceOptions],
) -> None:
    """Serve the HTTP API and the dashboard until stopped; with --services, also work on the events of services."""
    from pyworkflow.manager import Manager

    tokens = _tokens(token_file)
    if root_path and not root_path.startswith("/"):
        raise InvalidRequestError("root path", "must begin with a slash")
    names = (*hosts, f"[{host}]" if ":" in host else host)
    if given["callback_url"] is not None:
        names = (*names, callback_host(given["callback_url"]))
    if app is not None:
        with managed(context, app) as manager:
            _run(manager, tokens, host, port, names, root_path.rstrip("/"), as_json, given)
        return
    with opened(context) as backend:
        _run(Manager(backend), tokens, host, port, names, root_path.rstrip("/"), as_json, given)


def _tokens(token_file: Path | None) -> "Tokens | None":
    with needing("web", "serve"):
        from pyworkflow.web.tokens import TokenFile, Tokens, of_environment
    given = of_environment(os.environ.get(TOKENS, ""))
    if token_file is not None:
        return TokenFile(token_file, given)
    return Tokens(given) if given else None


def _run(
    manager: "Manager",
    tokens: "Tokens | None",
    host: str,
    port: int,
    names: tuple[str, ...],
    root_path: str,
    as_json: bool,
    given: ServiceOptions,
) -> None:
    from pyworkflow.web import create_app
    from pyworkflow.web.server import bind, check_bind, is_everywhere, make_server

    check_bind(host, tokens)
    with bind(host, port) as bound, ExitStack() as stack:
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{bound.getsockname()[1]}{root_path}/"
        # Of all addresses of this machine, nobody knows which one a service reaches.
        services = make_services(manager, given, None if is_everywhere(host) else address)
        if given["services"]:
            stack.enter_context(working(manager, services))
        app = create_app(manager, tokens=tokens, hosts=names, services=services)
        server = make_server(app, root_path=root_path)
        if as_json:
            emit({"action": "serve", "address": address, "backend": manager.backend.name})
        told = "anybody on this machine may do everything" if tokens is None else "with tokens"
        click.echo(safe(f"{address} serves the {manager.backend.name} backend, {told}"), err=True)
        server.run(sockets=[bound])


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["read", "start", "work", "admin"]),
    help="What it allows; may be given more than once.",
)
@click.option(
    "--file",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The token file; its hash is added to it.",
)
@json_option
def token(name: str, scopes: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Make a token for `serve`, and print it: it cannot be had again."""
    from pyworkflow.web.tokens import Scope, new_token

    secret, kept = new_token(name, [Scope(scope) for scope in scopes])
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(kept.line())
    except OSError as error:
        raise InvalidRequestError(f"token file {str(path)!r}", str(error.strerror)) from error
    if as_json:
        emit({"action": "token", "name": name, "scopes": sorted(kept.scopes), "token": secret})
    else:
        click.echo(secret)
