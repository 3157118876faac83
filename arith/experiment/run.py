"""A run is a folder: run.json, metrics.jsonl, checkpoints/, results.json, figures/."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from arith.catalogue.registry import import_file
from arith.config.reading import differences
from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment import checkpoints
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.experiment.inventory import FAILED
from arith.experiment.provenance import provenance
from arith.fields import read_field
from arith.model.transformer import Transformer
from arith.process import lock
from arith.process.files import BUILDING, write_errors, write_whole
from arith.process.hints import command_line
from arith.process.progress import say
from arith.process.reading import read_lines
from arith.results.schema import COUNTS, METRICS, WATCHED, Series, watched_name

TRACKED = ("sharpness", "edge")  # what is measured on request: results keep it without being asked
LARGEST = 100  # values of a series
WhenThere = Literal["refuse", "resume", "overwrite"]

# What may differ when a run is resumed: how it is watched and tested, not what it is.
FREE_ON_RESUME = (
    "training.log_every",
    "training.evaluate_every",
    "training.evaluate_samples",
    "training.checkpoint_every",
    "training.keep",
    "training.sharpness_every",
    "training.tensorboard",
    "evaluation.samples",
    "evaluation.long_samples",
    "evaluation.sizes",
    "evaluation.suites",
    "evaluation.grid",
    "evaluation.grid_samples",
    "evaluation.seed",
    "evaluation.sharpen",
    "evaluation.loops",
)


@dataclass(frozen=True)
class Run:
    """A run's folder and its configuration."""

    folder: Path
    config: RunConfig

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.folder / METRICS

    @property
    def results(self) -> Path:
        return self.folder / "results.json"

    @property
    def resume_hint(self) -> str:
        """The command that resumes its training."""
        return command_line("train", "--resume", "--out", str(self.folder))

    @staticmethod
    def begin(folder: Path, config: RunConfig, when_there: WhenThere = "refuse") -> "Run":
        """Make the folder of a new run, or resume or replace the one that is there.

        Raises:
            UsageError: the folder holds something else, a run with other settings, or a run that is to be refused.
        """
        described = folder / "run.json"
        if folder.exists() and any(not _is_leftover(path) for path in folder.iterdir()):
            if when_there == "refuse":
                raise UsageError(f"{folder} exists. Resume it by --resume, replace it by --overwrite, or choose --out")
            # Nothing is ever removed from a folder that is not known to be a run's.
            if not described.is_file():
                raise UsageError(f"{folder} holds no run (no run.json), so it is left alone. Choose another --out")
            if when_there == "resume":
                Run.open(folder).check_same(config)
                # Provenance stays that of the beginning; intervals and tests are those of the latest command.
                values = json.loads(described.read_text(encoding="utf-8"))
                write_whole(described, json.dumps({**values, "config": config.as_dict()}, indent=1) + "\n")
                (folder / FAILED).unlink(missing_ok=True)
                return Run(folder, config)
            empty(folder)
        text = json.dumps({"config": config.as_dict(), **provenance(config.imports)}, indent=1) + "\n"
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(described, text)
        return Run(folder, config)

    @staticmethod
    def open(folder: Path) -> "Run":
        """Read the run in a folder.

        Raises:
            UsageError: there is none, or it cannot be read.
        """
        described = folder / "run.json"
        if not described.is_file():
            what = "A run is made by arith train"
            inside = sorted(str(found.parent) for found in folder.glob("*/run.json"))
            if inside:
                shown = ", ".join(inside[:3]) + ", ..." * (len(inside) > 3)
                what = f"Runs stand in it; name one or more of them: {shown}"
            if (folder / "config.json").is_file():
                what = f"It may be a model of Hugging Face: arith evaluate --hf {folder}"
            raise UsageError(f"{folder} holds no run (no run.json). {what}")
        try:
            values = json.loads(described.read_text(encoding="utf-8"))
            config = RunConfig.of(values["config"])
            imports = read_field(values["imports"], dict[str, str], "imports")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{described} describes no run: {error}") from error
        # A warning, not a refusal: a comment added to the user's file changes its hash too.
        for path, digest in imports.items():
            if import_file(path) != digest:
                say(f"{path} is not what it was when this run was trained")
        return Run(folder, config)

    def load_model(self, experiment: Experiment) -> tuple[Transformer, Checkpoint]:
        """The model of the latest checkpoint, in evaluation mode, and that checkpoint."""
        checkpoint = self.load_checkpoint()
        steps = self.config.training.steps
        # What is measured is of fewer steps than the run says, and not to be compared with runs that are finished.
        if checkpoint.step < steps and (self.folder / "run.json").is_file():
            say(f"{self.folder} is not finished: step {checkpoint.step} of {steps}. Resume it: {self.resume_hint}")
        model = experiment.model()
        checkpoint.restore(model)
        return model.eval(), checkpoint

    def load_checkpoint(self, step: int | None = None) -> Checkpoint:
        """The checkpoint of a step, or the latest.

        Raises:
            UsageError: there is none of this step.
            RunError: none is usable.
        """
        if step is None:
            return checkpoints.latest(self.checkpoints, say)
        return checkpoints.at_step(self.checkpoints, step)

    def record(self, **values: Any) -> None:
        """Add to what run.json says beside the configuration."""
        described = self.folder / "run.json"
        held = json.loads(described.read_text(encoding="utf-8"))
        write_whole(described, json.dumps({**held, **values}, indent=1) + "\n")

    def start(self) -> dict[str, Any]:
        """What run.json records of the run that this one begins with; empty for fresh weights."""
        described = self.folder / "run.json"
        held: dict[str, Any] = json.loads(described.read_text(encoding="utf-8")) if described.is_file() else {}
        return dict(held.get("init", {}))

    def training_seconds(self) -> float:
        """Seconds spent in training steps so far, over all sittings."""
        rows = self.read_metrics()
        return float(rows[-1]["seconds"]) if rows else 0.0

    def tracked(self) -> tuple[Series, ...]:
        """What results keep of metrics.jsonl, step by step; of many values every second, third and so on.

        Where training begins with a trained model, the ratio of gradients says whether SGD will do: see
        `arith.training.gradients`.
        """
        rows, found = self.read_metrics(), []
        names = [*TRACKED, *(["gradient_ratio"] if self.config.model.init is not None else [])]
        values = {name: [(row["step"], float(row[name])) for row in rows if name in row] for name in names}
        for name, points in (values | self._watched(rows)).items():
            points = points[:: math.ceil(len(points) / LARGEST) or 1]
            if points:
                found.append(Series(self.folder.name, name, *zip(*points, strict=True)))
        return tuple(found)

    def _watched(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
        """Steps and accuracies at each watched length, and what was seen, after accuracies in distribution.

        Nothing where none is watched.
        """
        lengths = list(dict.fromkeys(digits for row in rows for digits in row.get(WATCHED, {})))
        found = {"accuracy": [(row["step"], float(row["accuracy"])) for row in rows if "accuracy" in row]}
        for digits in lengths:
            seen = [(row["step"], float(row[WATCHED][digits])) for row in rows if digits in row.get(WATCHED, {})]
            found[watched_name(digits)] = seen
        watched, before = [row for row in rows if WATCHED in row], self.start().get("samples", 0)
        samples, tokens = COUNTS
        found[samples] = [(row["step"], float(before + self.config.samples_at(row["step"]))) for row in watched]
        found[tokens] = [(row["step"], float(row["tokens"])) for row in watched if "tokens" in row]
        return found if lengths else {}

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        if not self.metrics.is_file():
            return []
        lines = read_lines(self.metrics)
        if lines and not lines[-1].endswith("}"):
            lines.pop()  # cut off when the machine went down
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                good = isinstance(row["step"], int) and isinstance(row["seconds"], int | float)
            except (ValueError, KeyError, TypeError):
                good = False
            if not good:
                raise UsageError(f"{self.metrics}, line {number}: expected an object with step and seconds: {line:.60}")
            rows.append(row)
        return rows

    def remove_unused(self) -> None:
        """Remove what is in the folder if no step has been taken."""
        if not self.read_metrics() and not checkpoints.any_exist(self.checkpoints):
            empty(self.folder)

    def check_same(self, config: RunConfig) -> None:
        """Raise if a configuration differs from the run's in more than how it is watched and tested."""
        changed = [
            difference
            for difference in differences(self.config.as_dict(), config.as_dict())
            if difference.partition(":")[0] not in FREE_ON_RESUME
        ]
        if changed:
            listed = "\n  ".join(changed)
            raise UsageError(
                f"{self.folder} was begun with other settings:\n  {listed}\n"
                "Resume with the same, replace it by --overwrite, or choose another --out"
            )


def _is_leftover(path: Path) -> bool:
    """Whether a file is the lock, or what a kill left of one that was being written."""
    # The lock is taken before the run begins, so even the folder of a new run holds it.
    return path.name == lock.NAME or (path.name.startswith(".") and f".{BUILDING}-" in path.name)


def empty(folder: Path) -> None:
    """Remove what is in a folder, but for the lock that is held on it."""
    # run.json last: without it, what a kill leaves would be nobody's.
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "run.json"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != lock.NAME:
            path.unlink()
