"""What the GPU's training benchmark runs, and how large, in full and tiny."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One measurement of a training step."""

    model: str
    encoding: str
    compiled: bool
    fused: bool = True

    @property
    def name(self) -> str:
        way = "compiled" if self.compiled else "eager"
        return f"{self.model} {self.encoding}, {way}{'' if self.fused else ', attention in plain torch'}"


MULTIPLICATION = "multiplication-paper:padded-reversed-15"  # the recipe of parts 1 and 2
LEARNED = tuple(Case(model, "learned", compiled) for compiled in (False, True) for model in ("85M", "10M"))
BIASED = tuple(
    Case("85M", encoding, compiled, fused)
    for compiled in (False, True)
    for encoding in ("t5", "fire")
    for fused in (True, False)
)
# Should time run out, the last ones are missing.
CASES = (*LEARNED, *BIASED)
GOALS = {"85M learned, compiled": 0.40, "10M learned, compiled": 0.25}


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Args:
        models: what is changed in the recipe for each model of part 1.
        timed_seconds: of steps, in each case of part 1.
        minutes: for the cases of part 1, and of training in parts 2 and 3.
        multiplication, addition: what is changed in the recipes of parts 2 and 3.
        grid, tested: lengths, and problems a cell, of part 2.
        cases: of part 1.
    """

    models: dict[str, dict[str, Any]]
    timed_seconds: float
    minutes: tuple[float, float, float]
    multiplication: dict[str, Any]
    addition: dict[str, Any]
    grid: str
    tested: int
    cases: tuple[Case, ...] = CASES


FULL = Scale(
    models={
        "85M": {"model": {"preset": "gpt2-small"}, "training": {"batch": 1024}},
        "10M": {"model": {"preset": "small"}, "training": {"batch": 2048}},
    },
    timed_seconds=3.0,
    minutes=(3.0, 5.7, 3.8),
    multiplication={},
    addition={
        "format": "padded-all-reversed:width=206",
        "encoding": "relative:radius=640",
        "data": {"digits": "1-20"},
        "model": {"preset": "small"},
        "training": {"batch": 128, "learning_rate": 1e-3, "warmup": 200, "precision": "bfloat16", "compile": "on"},
        "evaluation": {
            "digits": [5, 10, 15, 20, 21, 25, 30, 40, 60, 80, 100, 150, 200, 205],
            "suites": ["random", "unequal"],
            "samples": 400,
            "long_samples": 400,
        },
    },
    grid="1-15",
    tested=100,
)
SMALL: dict[str, Any] = {"layers": 1, "width": 16, "heads": 2, "hidden": 16}
TINY = Scale(
    models={
        name: {"model": SMALL, "training": {"batch": 2, "steps": 20, "precision": "float32"}} for name in FULL.models
    },
    timed_seconds=0.01,
    minutes=(60.0, 0.02, 0.02),
    multiplication={
        "format": "padded-reversed:width=2",
        "data": {"digits": "1-2"},
        "model": SMALL,
        "training": {"batch": 8, "precision": "float32", "evaluate_samples": 8},
        "evaluation": {"digits": [1, 2], "grid": "1-2"},
    },
    addition={
        "format": "padded-all-reversed:width=4",
        "data": {"digits": "1-2"},
        "model": SMALL,
        "training": {"batch": 8, "evaluate_samples": 8, "compile": "off"},
        "evaluation": {"digits": [1, 2, 3, 4], "samples": 20},
    },
    grid="1-2",
    tested=10,
)
