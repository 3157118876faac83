"""Who is answered, and what can be read."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from arith.errors import UsageError
from arith.play.server import LARGEST, PlayServer
from arith.play.session import Session

JSON = {"Content-Type": "application/json"}
PROBLEM = {"model": "m", "problem": "1+2"}


class Told(Session):
    """A session without models, which repeats what it is asked."""

    def show(self, name: str, problem: str, before: str | None = None) -> dict[str, Any]:
        if problem == "bug":
            raise KeyError(problem)
        if problem == "x":
            raise UsageError("no problem")
        return {"said": [name, problem, before]}

    def example(self, name: str) -> str:
        return "12+34"


@pytest.fixture
def server() -> Iterator[PlayServer]:
    with PlayServer(Told({"m": Path("nowhere")})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def request(
    server: PlayServer, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, sent, dict(headers or (JSON if sent else {})))
    response = connection.getresponse()
    found = response.status, response.read(), response.headers
    connection.close()
    return found


def test_the_page_and_its_files_are_served_and_nothing_else(server: PlayServer) -> None:
    script = "text/javascript"
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", script), ("/heads.js", script)):
        status, body, headers = request(server, "GET", path)
        assert (status, headers.get_content_type()) == (200, kind)
        assert body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    for path in (
        "/page.html",
        "/server.py",
        "/../server.py",
        "/%2e%2e/server.py",
        "//etc/passwd",
        "/etc/passwd",
        "/?a",
    ):
        status, body, _ = request(server, "GET", path)
        assert (status, json.loads(body)) == (404, {"error": "there is no such page"})
    assert request(server, "POST", "/", PROBLEM)[0] == 404


def test_it_listens_on_the_loopback_alone(server: PlayServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/"
    own = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in own - {"127.0.0.1"}:
        with socket.socket() as other:
            other.settimeout(2)
            assert other.connect_ex((address, server.server_port)) != 0 or address.startswith("127.")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
def test_other_hosts_are_refused(server: PlayServer, host: str) -> None:
    headers = {"Host": host.format(port=server.server_port)}
    for method, path, body in (("GET", "/", None), ("GET", "/models", None), ("POST", "/show", PROBLEM)):
        status, answer, _ = request(server, method, path, body, headers | JSON)
        assert status == 421
        assert json.loads(answer)["error"] == f"this page is at {server.url}, and under no other name"


def test_localhost_is_another_name(server: PlayServer) -> None:
    own = f"LOCALHOST:{server.server_port}"
    headers = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"} | JSON
    assert request(server, "POST", "/show", PROBLEM, headers)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(server: PlayServer, headers: Mapping[str, str]) -> None:
    status, body, _ = request(server, "POST", "/show", PROBLEM, {**headers, **JSON})
    assert (status, json.loads(body)["error"]) == (403, "another site's page may ask nothing here")


def test_a_link_of_another_site_may_lead_here(server: PlayServer) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert request(server, "GET", "/", None, headers)[0] == 200
    assert request(server, "POST", "/show", PROBLEM, headers | JSON)[0] == 403


def test_a_request_without_or_with_two_hosts_is_refused(server: PlayServer) -> None:
    own = f"Host: 127.0.0.1:{server.server_port}\r\n"
    for hosts in ("", own + own, own + "Host: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as client:
            client.sendall(f"GET / HTTP/1.1\r\n{hosts}\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 421 ")


def test_a_problem_is_answered(server: PlayServer) -> None:
    status, body, _ = request(server, "POST", "/show", {**PROBLEM, "before": "1+1"})
    assert (status, json.loads(body)) == (200, {"said": ["m", "1+2", "1+1"]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "m", "problem": "x"}, "no problem"),
        ({"model": "m"}, "problem is a text, got None"),
        ({"model": 7, "problem": "1+2"}, "model is a text, got 7"),
    ],
)
def test_mistakes_are_told_with_an_example(server: PlayServer, values: dict[str, object], message: str) -> None:
    status, body, _ = request(server, "POST", "/show", values)
    assert status == 200
    told = json.loads(body)
    assert told["error"] == message
    assert told.get("example") == ("12+34" if values["model"] == "m" else None)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (PROBLEM, {"Content-Type": "text/plain"}, 415),  # which a browser sends to other sites without asking
        (b"{", JSON, 400),
        (b"[" * 4000, JSON, 400),
        (b"[1]", JSON, 400),
        (b" " * (LARGEST + 1), JSON, 413),
        (b"", {"Content-Length": "-5", **JSON}, 411),
        (b"", {"Content-Length": "9" * 30, **JSON}, 413),
        (b"", {"Content-Length": "\u0665".encode().decode("latin-1"), **JSON}, 411),
    ],
)
def test_what_is_no_request_of_the_page_is_refused(
    server: PlayServer, body: object, headers: Mapping[str, str], expected: int
) -> None:
    status, answer, _ = request(server, "POST", "/show", body, headers)
    assert status == expected
    assert "error" in json.loads(answer)


def test_other_methods_are_refused(server: PlayServer) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        status, body, headers = request(server, method, "/")
        assert (status, json.loads(body)) == (501, {"error": "Not Implemented"})
        assert not any(name.lower().startswith("access-control") for name in headers)


def test_a_bug_is_told_in_the_terminal_and_not_to_the_page(
    server: PlayServer, capfd: pytest.CaptureFixture[str]
) -> None:
    status, body, _ = request(server, "POST", "/show", {"model": "m", "problem": "bug"})
    assert (status, json.loads(body)) == (500, {"error": "this failed; the terminal says where"})
    assert "KeyError" in capfd.readouterr().err
    assert request(server, "GET", "/")[0] == 200  # and the server goes on


def test_a_port_in_use_is_told(server: PlayServer) -> None:
    port = server.server_port
    with pytest.raises(UsageError, match=f"port {port} cannot be had: Address already in use. Choose another --port"):
        PlayServer(Told({}), port)
