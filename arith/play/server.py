"""The server of the page: on this machine alone, and with nothing to read but the page and what models say.

A page of another site, open in the same browser, can send requests to any port of this machine. It is refused by the
name that it called (Host: a foreign name that was made to lead here), by where it comes from (Origin), and by the
kind of what it sends, as a browser asks before it sends JSON to another site. No part of a request becomes a path.
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any

from arith.errors import RunError, UsageError
from arith.fields import read_field
from arith.play.session import Session

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")  # by which a browser may call it
LARGEST = 4096  # bytes of a request's body: a problem and its model take a few hundred
PATIENCE = 10  # seconds that a connection may be silent
# The page runs its own script, and asks this server alone; no other page may frame it.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
POLICY += "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/heads.js": ("heads.js", "text/javascript"),
}


class PlayServer(ThreadingHTTPServer):
    """The page of a session, on the loopback.

    Args:
        session: its models.
        port: where it listens; 0: any free port.

    Raises:
        UsageError: the port cannot be had.
    """

    daemon_threads = True  # a request that is under way does not hold up the end

    def __init__(self, session: Session, port: int = 0) -> None:
        self.session = session
        try:
            super().__init__((ADDRESS, port), Handler)
        except OSError as error:
            why = f"port {port} cannot be had: {error.strerror}"
            raise UsageError(f"{why}. Choose another --port, or leave it out for any that is free") from error
        # Read once: what is served is what was installed when it began.
        self.pages = {
            path: (files("arith.play").joinpath(name).read_bytes(), f"{kind}; charset=utf-8")
            for path, (name, kind) in PAGES.items()
        }
        # A browser leaves out the port of the web.
        self.hosts = frozenset(f"{name}:{self.server_port}".removesuffix(":80") for name in NAMES)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks a name server for the name of 127.0.0.1, and may wait for it.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"


class Refused(Exception):  # noqa: N818  it is the answer to a request
    """A request that is not answered, with the status that says why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: PlayServer
    server_version, sys_version = "arith", ""
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _get(self) -> None:
        if self.path == "/models":
            self._send_json(HTTPStatus.OK, {"models": self.server.session.models()})
            return
        if self.path not in self.server.pages:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        self._send(HTTPStatus.OK, *self.server.pages[self.path])

    def _post(self) -> None:
        routes: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "/show": self._show,
            "/heads": self._heads,
            "/digits": self._digits,
        }
        if self.path not in routes:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        values = self._read_body()
        try:
            self._send_json(HTTPStatus.OK, routes[self.path](values))
        except (UsageError, RunError) as error:
            # A problem that cannot be asked is no failed request: the page shows what it is told, and an example.
            self._send_json(HTTPStatus.OK, {"error": str(error), **self._example(values)})

    def _show(self, values: Mapping[str, Any]) -> dict[str, Any]:
        before = read_field(values.get("before"), str | None, "before")
        return self.server.session.show(_text(values, "model"), _text(values, "problem"), before)

    def _heads(self, values: Mapping[str, Any]) -> dict[str, Any]:
        before = read_field(values.get("before"), str | None, "before")
        place = read_field(values.get("place"), int, "place")
        return self.server.session.heads(_text(values, "model"), _text(values, "problem"), place, before)

    def _digits(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return self.server.session.try_digits(_text(values, "model"), _text(values, "problem"))

    def _example(self, values: Mapping[str, Any]) -> dict[str, str]:
        try:
            return {"example": self.server.session.example(_text(values, "model"))}
        except (UsageError, RunError):
            return {}

    def _read_body(self) -> Mapping[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "say how long the request is")
        if len(length) > 9 or int(length) > LARGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has up to {LARGEST} bytes")
        try:
            values = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the request is no JSON: {error}") from error
        if not isinstance(values, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "the request is no JSON object")
        return values

    def _answer(self, respond: Callable[[], None]) -> None:
        try:
            self._check_sender()
            respond()
        except Refused as refused:
            # What it sent may be unread, and would be taken for the next request.
            self.close_connection = True
            self._send_json(refused.status, {"error": str(refused)})
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True  # a browser that asks anew does not wait for the old answer
        except Exception:
            # A bug: its traceback is for whoever started the server, and not for the page.
            traceback.print_exc(file=sys.stderr)
            self.close_connection = True
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "this failed; the terminal says where"})

    def _check_sender(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, f"this page is at {self.server.url}, and under no other name")
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self.server.hosts}:
            raise Refused(HTTPStatus.FORBIDDEN, "another site's page may ask nothing here")
        # A link may lead here, from a notebook say; what another site's page loads or asks by itself is refused.
        followed = self.command == "GET" and self.headers.get("Sec-Fetch-Mode") == "navigate"
        if not followed and self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Refused(HTTPStatus.FORBIDDEN, "another site's page may ask nothing here")

    def _send_json(self, status: HTTPStatus, values: Mapping[str, Any]) -> None:
        # Escaped characters are ASCII: half a character, as a damaged name may hold, can be written too.
        self._send(status, json.dumps(values, allow_nan=False).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself, such as another method, as JSON."""
        status = HTTPStatus(code)
        self.close_connection = True
        self._send_json(status, {"error": status.phrase})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as http.server names it
        """No line a request: a terminal shows what goes wrong alone."""


def _text(values: Mapping[str, Any], name: str) -> str:
    text: str = read_field(values.get(name), str, name)
    return text
