"""What a training writes while it runs: metrics.jsonl, its mirror in TensorBoard, and rates."""

import json
import time
from pathlib import Path
from typing import Any

from arith.process.files import write_whole
from arith.process.progress import say
from arith.results.schema import METRICS


class StepClock:
    """Seconds spent in training steps, over all sittings.

    Validation and saving do not count: how often they come would otherwise decide which of two runs trained longer.

    Args:
        seconds: what earlier sittings took.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


class TokenMeter:
    """Tokens per second that this process trains on, since the rates were last read.

    Args:
        seconds: what the clock shows at the start.

    >>> meter = TokenMeter(seconds=10.0)
    >>> meter.read(real=900, padded=1000)
    >>> meter.rates(seconds=12.0)
    {'tokens_per_second': 450, 'padded_tokens_per_second': 500}
    """

    def __init__(self, seconds: float) -> None:
        self._since, self._real, self._padded = seconds, 0, 0

    def read(self, real: int, padded: int) -> None:
        """Add the tokens of one more step, without padding and with it."""
        self._real, self._padded = self._real + real, self._padded + padded

    def rates(self, seconds: float) -> dict[str, int]:
        """The rates up to this time of the clock: of tokens that are learned from, and of those hardware works on."""
        passed = max(seconds - self._since, 1e-9)  # a coarse clock may show no time between two steps
        found = {
            "tokens_per_second": round(self._real / passed),
            "padded_tokens_per_second": round(self._padded / passed),
        }
        self._since, self._real, self._padded = seconds, 0, 0
        return found


class Log:
    """metrics.jsonl, and the latest numbers for the progress line.

    Args:
        folder: the run's folder.
        rows: the rows that stay, of a resumed run those up to its checkpoint.
        tensorboard: whether TensorBoard gets the rows too.
    """

    def __init__(self, folder: Path, rows: list[dict[str, Any]], tensorboard: bool) -> None:
        self._path = folder / METRICS
        self._latest: dict[str, Any] = {}
        self._mirror = Mirror(folder / "tensorboard") if tensorboard else None
        # Anew and at once: rows beyond the checkpoint, and one that a kill cut off, would otherwise stay in between.
        write_whole(self._path, "".join(json.dumps(row) + "\n" for row in rows))

    def write(self, row: dict[str, Any]) -> None:
        self._latest |= row
        # Opened for each row, so that a process that is killed loses none: closing hands it to the system.
        with self._path.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(row) + "\n")
        if self._mirror is not None:
            self._mirror.write(row)

    def note(self) -> str:
        shown = {"loss": "{:.4f}", "accuracy": "{:.1%}"}
        return ", ".join(
            f"{name} {form.format(self._latest[name])}" for name, form in shown.items() if name in self._latest
        )


class Mirror:
    """The same rows for TensorBoard. If it is not installed or fails, training goes on, and says so once."""

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        # Any exception: TensorBoard raises whatever protobuf, TensorFlow or the disk do, and none is worth a training.
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder))
        except Exception as error:
            say(f"TensorBoard gets no metrics ({error}). pip install 'arith-toolkit[tensorboard]'")

    def write(self, row: dict[str, Any]) -> None:
        if self._writer is None:
            return
        try:
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name, value, row["step"])
            self._writer.flush()
        except Exception as error:
            say(f"TensorBoard gets no more metrics ({error})")
            self._writer = None
