"""Asks a model behind HTTP: tries again, waits as long as the server says, and lets no key out."""

import http.client
import ipaddress
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from arith.errors import RunError, UsageError
from arith.evaluation.text.interface import place, read_answer
from arith.evaluation.text.reply import Reply

TRIES = 5
# Seconds before the second try, doubled before each further one; and the longest that a server may ask for, beyond
# which it is better to come back.
FIRST_WAIT, LONGEST_WAIT = 1.0, 600.0
LARGEST = 1 << 24  # bytes of an answer that are read
LOOK = 0.2  # seconds between looks at whether a signal came
# Statuses besides 5xx after which the same request may succeed: it took too long, met another, came too early or often.
PASSING = (408, 409, 425, 429)


def check_url(url: str, insecure: bool) -> str:
    """The address below which a server's interface lies, without a slash at its end.

    Raises:
        UsageError: it does not end in /v1, holds a secret, or sends one readable over a network.
    """
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        # Not repeated: what stands there may be the key.
        raise UsageError("--endpoint takes a URL without user, password, ? and #. A key is given by --key-env")
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.rstrip("/").endswith("/v1"):
        raise UsageError(f"--endpoint takes a URL that ends in /v1, such as http://localhost:8000/v1, got {url!r}")
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not insecure:
        raise UsageError(f"http to {parts.hostname} could be read on its way: use https, or give --insecure")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "10.0.0.1", "127.example.org")]
    [True, True, True, False, False]
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass
class Endpoint:
    """A server of language models.

    Args:
        url: see `check_url`.
        key: its secret; empty for none.
        key_name: the environment variable that holds it, for messages.
        timeout: seconds without a word from the server after which a try has failed.
    """

    url: str
    key: str = field(default="", repr=False)
    key_name: str = ""
    timeout: float = 60.0

    def __post_init__(self) -> None:
        # urllib would take the key along wherever a redirect leads, and this machine's own servers through a proxy.
        own = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(self.url).hostname or "") else []
        self._send = urllib.request.build_opener(_NoRedirect, *own).open
        self._halt = threading.Event()
        self._open_at = 0.0  # no request before, by the monotonic clock: the server has asked to wait

    def ask_all(
        self, bodies: Sequence[dict[str, Any]], concurrency: int, stopped: Callable[[], bool]
    ) -> Iterator[tuple[int, Reply]]:
        """Replies with the places of their requests, as they come.

        Args:
            bodies: the requests.
            concurrency: how many are under way at a time.
            stopped: whether to ask for no more; replies under way still come.

        Raises:
            RunError: the server takes no request of this kind, so that all others would fail too.
        """
        todo, done = SimpleQueue[int](), SimpleQueue[tuple[int, Reply | RunError | None] | None]()
        for row in range(len(bodies)):
            todo.put(row)
        self._halt.clear()

        def work() -> None:
            while not self._halt.is_set():
                try:
                    row = todo.get_nowait()
                except Empty:
                    break
                try:
                    done.put((row, self._ask(bodies[row])))
                except RunError as error:
                    self._halt.set()
                    done.put((row, error))
            done.put(None)

        running = min(concurrency, len(bodies))
        for _ in range(running):
            # Daemons: a second Ctrl-C ends the process without waiting for the server.
            threading.Thread(target=work, daemon=True).start()
        try:
            while running:
                if stopped():
                    self._halt.set()
                try:
                    one = done.get(timeout=LOOK)
                except Empty:
                    continue
                if one is None:
                    running -= 1
                elif isinstance(one[1], RunError):
                    raise one[1]
                elif one[1] is not None:
                    yield one[0], one[1]
        finally:
            self._halt.set()

    def _ask(self, body: dict[str, Any]) -> Reply | None:
        """The reply, or why there is none after all tries; None: told to stop before."""
        failed = ""
        for attempt in range(TRIES):
            wait = 0.0 if attempt == 0 else FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
            if self._halt.wait(max(0.0, wait, self._open_at - time.monotonic())):
                return None
            date, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
            try:
                reply = read_answer(self._post(body))
                return replace(reply, date=date, seconds=time.monotonic() - began)
            except urllib.error.HTTPError as error:
                with error:
                    failed = self._explain(error, body)
                if error.code not in PASSING and error.code < 500:
                    break
            except (OSError, http.client.HTTPException, ValueError) as error:
                failed = self._without_key(str(getattr(error, "reason", error)) or type(error).__name__)
        return Reply("", failed=failed)

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "User-Agent": "arith"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + place(body), data, headers)
        with self._send(request, timeout=self.timeout) as answer:
            return json.loads(self._without_key(answer.read(LARGEST).decode("utf-8", "replace")))

    def _explain(self, error: urllib.error.HTTPError, body: dict[str, Any]) -> str:
        """What a status means, in a line.

        Raises:
            RunError: every other request would meet it too.
        """
        if error.code in (401, 403):
            # Servers quote parts of a wrong key: their words stay out.
            key = f"does not take the key in ${self.key_name}" if self.key else "asks for a key: name its --key-env"
            raise RunError(f"{error.code}: {self.url} {key}")
        if error.code == 404:
            raise RunError(f"404: {self.url} has no model '{body['model']}', or no {place(body)}")
        if 300 <= error.code < 400:
            raise RunError(f"{error.code}: {self.url} sends requests elsewhere, which is not followed: give that URL")
        if (wait := _seconds(error.headers.get("Retry-After"))) is not None:
            if wait > LONGEST_WAIT:
                raise RunError(f"{error.code}: {self.url} asks to come back in {wait:.0f} s. The same command goes on")
            # For all requests: those beside it would only be sent away as well.
            self._open_at = max(self._open_at, time.monotonic() + wait)
        said = error.read(LARGEST).decode("utf-8", "replace")
        return f"{error.code}: {' '.join(self._without_key(said).split())[:200]}"

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _seconds(retry_after: str | None) -> float | None:
    """How long a server asks to wait, in seconds or until a date.

    >>> _seconds("2"), _seconds("Sun, 06 Nov 1994 08:49:37 GMT"), _seconds("soon"), _seconds(None)
    (2.0, 0.0, None, None)
    """
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after)) if retry_after.strip()[:1].isdigit() else _until(retry_after)
    except (ValueError, TypeError):
        return None


def _until(date: str) -> float:
    then = parsedate_to_datetime(date)
    return max(0.0, (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - time.time())
