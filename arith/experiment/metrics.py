"""What is written of a training while it goes on."""

import json
import time
from pathlib import Path
from typing import Any

from arith.process.files import write_whole
from arith.process.progress import say
from arith.results.schema import METRICS


class StepClock:
    """Seconds spent in training steps, evaluation and saving apart."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


class TokenMeter:
    """Tokens that this process trains on a second, since it was last asked.

    Args:
        seconds: of the clock at the start.

    >>> meter = TokenMeter(seconds=10.0)
    >>> meter.read(real=900, padded=1000)
    >>> meter.rates(seconds=12.0)
    {'tokens_per_second': 450, 'padded_tokens_per_second': 500}
    """

    def __init__(self, seconds: float) -> None:
        self._since, self._real, self._padded = seconds, 0, 0

    def read(self, real: int, padded: int) -> None:
        """Tokens of one more step, without padding and with it."""
        self._real, self._padded = self._real + real, self._padded + padded

    def rates(self, seconds: float) -> dict[str, int]:
        """At this time of the clock. Without padding it is what is learnt from; with it, what hardware works on."""
        passed = max(seconds - self._since, 1e-9)
        found = {
            "tokens_per_second": round(self._real / passed),
            "padded_tokens_per_second": round(self._padded / passed),
        }
        self._since, self._real, self._padded = seconds, 0, 0
        return found


class Log:
    """metrics.jsonl, and the latest numbers for the progress line. Rows after a resumed step are dropped."""

    def __init__(self, folder: Path, rows: list[dict[str, Any]], tensorboard: bool) -> None:
        self._path = folder / METRICS
        self._latest: dict[str, Any] = {}
        self._mirror = Mirror(folder / "tensorboard") if tensorboard else None
        write_whole(self._path, "".join(json.dumps(row) + "\n" for row in rows))

    def write(self, row: dict[str, Any]) -> None:
        self._latest |= row
        with self._path.open("a") as opened:
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
