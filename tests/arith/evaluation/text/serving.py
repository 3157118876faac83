"""A stand-in for a server of language models, on this machine's loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request: its path, headers and body, and what number it is of those with this prompt, from 1."""

    path: str
    headers: Any
    body: dict[str, Any]
    prompt: str
    attempt: int


class Answer(NamedTuple):
    """What the server does: a status of 0 drops the connection."""

    status: int
    body: Any
    headers: tuple[tuple[str, str], ...] = ()


def completion(text: str | None, finish: str = "stop", **message: Any) -> Answer:
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 11, "completion_tokens": 3}
    return Answer(200, {"model": "stand-in-2026", "choices": [choice], "usage": usage})


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[tuple[str, list[Asked]]]:
    """The URL of a server, and the requests that came to it."""
    seen: list[Asked] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
            with lock:
                attempt = 1 + sum(one.prompt == prompt for one in seen)
                seen.append(asked := Asked(self.path, self.headers, body, prompt, attempt))
            status, content, headers = answer(asked)
            if not status:
                self.close_connection = True
                return
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(data)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
