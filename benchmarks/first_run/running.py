"""Steps one after another, each in processes of its own and under a limit, and one archive of what they leave.

Nothing here imports torch: whatever a step breaks, the others run, and the archive is written.
"""

import contextlib
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arith.process.files import building

TICK = 5.0  # seconds between two writings of the archive while a step runs, as it keeps what it has found
GRACE = 5.0  # seconds from SIGTERM to SIGKILL
LARGEST = 2_000_000  # bytes of a file that the archive takes, its end: a log may grow without bound
ENVIRONMENT = "environment.json"  # a step's file of what later steps are to have in their environment; null: nothing
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@dataclass(frozen=True)
class Step:
    """A command that writes its results into the folder that follows it as `--out`.

    Args:
        seconds: after which it is ended; what earlier steps left of theirs comes on top.
    """

    name: str
    command: tuple[str, ...]
    seconds: float


@dataclass
class Session:
    """All steps, and what came of them.

    Args:
        work: folder with a folder for each step.
        archive: the one file that is handed back.
        about: what its summary begins with.
        environment: of the next step.
    """

    steps: Sequence[Step]
    work: Path
    archive: Path
    about: dict[str, Any]
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def __post_init__(self) -> None:
        self.records: list[dict[str, Any]] = [{"step": step.name, "outcome": "not reached"} for step in self.steps]

    def run(self) -> None:
        """Run all steps; a kill at any time leaves an archive of what was there seconds before."""
        deadline = time.monotonic()
        try:
            for step, record in zip(self.steps, self.records, strict=True):
                deadline += step.seconds
                self.run_step(step, record, deadline)
        finally:
            self.pack()

    def run_step(self, step: Step, record: dict[str, Any], deadline: float) -> None:
        """Run one step, note its outcome (done, failed or late), and take over what it asks for later ones."""
        folder = self.work / step.name
        folder.mkdir(parents=True)
        began = time.monotonic()
        record["outcome"] = "running"
        with (folder / "log").open("wb") as log:
            self.pack()
            # A session of its own: at the end all its processes are ended, whatever they are at.
            process = subprocess.Popen(
                [*step.command, "--out", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.work,
                env=self.environment,
                start_new_session=True,
                preexec_fn=bound_to_parent,
            )
            try:
                record["outcome"] = self.wait(process, deadline)
            finally:
                end(process)
        record |= {"exit": process.returncode, "seconds": round(time.monotonic() - began, 1)}
        record["said"] = (folder / "log").read_text(errors="replace")[-2000:].splitlines()[-12:]
        print(f"{step.name}: {record['outcome']}, {record['seconds']} s", *record["said"], sep="\n  ", flush=True)
        with contextlib.suppress(OSError, ValueError):
            self.environment |= json.loads((folder / ENVIRONMENT).read_text())
        self.environment = {name: value for name, value in self.environment.items() if value is not None}

    def wait(self, process: subprocess.Popen[bytes], deadline: float) -> str:
        """Wait for a process until its deadline, and say how it went."""
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return "done" if process.wait(min(TICK, left)) == 0 else "failed"
            self.pack()
        return "late"

    def pack(self) -> None:
        """Replace the archive by what is there now: the summary, then the other JSON, then the rest."""
        order = [step.name for step in self.steps]
        files = [path for name in order for path in sorted((self.work / name).rglob("*")) if path.is_file()]
        files.sort(key=lambda path: path.suffix != ".json")
        summary = json.dumps(self.about | {"steps": self.records}, indent=1) + "\n"
        with building(self.archive) as aside, tarfile.open(aside, "w:gz") as packed:
            add(packed, "summary.json", summary.encode())
            for path in files:
                with contextlib.suppress(FileNotFoundError):  # replaced or removed by its step just now
                    add(packed, str(path.relative_to(self.work)), path.read_bytes()[-LARGEST:])


def add(packed: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file that may grow at this moment."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(content), int(time.time())
    packed.addfile(entry, io.BytesIO(content))


def bound_to_parent() -> None:
    """Between fork and exec: be killed if the parent is, as a session of its own outlives it otherwise."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, if it still runs, and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
