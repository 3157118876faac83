"""What a training writes while it runs: metrics.jsonl and its mirror in TensorBoard."""

import json
from pathlib import Path
from typing import Any

from arith.process.cores import CoreWait
from arith.process.files import append_whole, write_whole
from arith.process.progress import say
from arith.results.schema import METRICS

SHARED = 0.2  # share of its time that a run waits for a core, above which its progress line says so


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
        self._wait = CoreWait()
        self._mirror = Mirror(folder / "tensorboard") if tensorboard else None
        # Anew and at once: rows beyond the checkpoint, and one that a kill cut off, would otherwise stay in between.
        write_whole(self._path, "".join(json.dumps(row) + "\n" for row in rows))

    def write(self, row: dict[str, Any]) -> None:
        self._latest |= row
        # Opened for each row, so that a process that is killed loses none: closing hands it to the system.
        append_whole(self._path, json.dumps(row) + "\n")
        if self._mirror is not None:
            self._mirror.write(row)

    def note(self) -> str:
        """What the progress line says beside the steps."""
        shown = {"loss": "{:.4f}", "accuracy": "{:.1%}"}
        parts = [f"{name} {form.format(self._latest[name])}" for name, form in shown.items() if name in self._latest]
        waited = self._wait.share()
        # Or a step that takes several times as long as yesterday would be a riddle.
        return ", ".join(parts + [f"other processes hold the cores {waited:.0%} of the time"] * (waited > SHARED))


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
                # A table, such as the norms by part, is a chart of its own with a curve for each entry.
                for entry, number in value.items() if isinstance(value, dict) else [("", value)]:
                    if name != "step":
                        self._writer.add_scalar(f"{name}/{entry}" if entry else name, number, row["step"])
            self._writer.flush()
        except Exception as error:
            say(f"TensorBoard gets no more metrics ({error})")
            self._writer = None
