"""arith play, as it is typed."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Arith = Callable[..., Result]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_when_it_is_told_to(tmp_path: Path, root: Path, ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "arith", "play", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)/", line)
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
            connection.request("GET", "/")
            assert b"<title>arith play</title>" in connection.getresponse().read()
            process.send_signal(ending)
            _, told = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, told) == (0, "ended\n")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "play aditon --no-browser",
            "aditon holds no run, and no shipped model is called so. Did you mean 'addition'?",
        ),
        ("play file.txt --no-browser", "file.txt holds no run (no run.json). A run is made by arith train"),
        ("play --port 70000", "70000 is not in the range 0<=x<=65535"),
        ("play --no-browser --port {used}", "port {used} cannot be had: Address already in use. Choose another --port"),
    ],
)
def test_mistakes_are_told(arith: Arith, tmp_path: Path, command: str, message: str) -> None:
    (tmp_path / "file.txt").touch()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        used = other.getsockname()[1]
        refused = arith(*command.format(used=used).split())
    assert refused.exit_code == 2, refused.output
    assert message.format(used=used) in " ".join(refused.stderr.split())
