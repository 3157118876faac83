"""Cells, grids of cells and anatomies that tests of results and figures begin from."""

import itertools
from collections.abc import Callable

from arith.evaluation.failures import CLASSES
from arith.results.schema import Anatomy, Cell
from arith.results.uncertainty import wilson


def cell(label: str = "rope", digits: int = 4, correct: int = 400, n: int = 400, **changes: object) -> Cell:
    low, high = wilson(correct, n)
    seed = changes.pop("seed", 0)
    values = {
        **{"label": label, "task": "addition", "format": "padded", "encoding": label, "suite": "random"},
        **{"structure_aware": "coupled" in label, "split": "test", "train_lengths": (1, 4), "digits": digits},
        **{"operand_lengths": (digits, digits), "model_seed": seed, "data_seed": seed, "test_seed": 1, "step": 10},
        **{"samples": 1280, "parameters": 1000, "n": n, "correct": correct, "accuracy": correct / n, "low": low},
        **{"high": high, "seen": 0, "training_seconds": 1.0},
    }
    return Cell(**{**values, **changes})  # type: ignore[arg-type]


def grid_cells(label: str, most: int, share: Callable[[int, int], float]) -> list[Cell]:
    pairs = itertools.product(range(1, most + 1), repeat=2)
    return [cell(label, max(p), round(40 * share(*p)), 40, suite="grid", operand_lengths=p) for p in pairs]


def anatomy(label: str, digits: int, wrong: int, suite: str = "random", n: int = 200) -> Anatomy:
    counts = {name: wrong // 6 + (wrong % 6 if place == 0 else 0) for place, name in enumerate(CLASSES)}
    positions = tuple((n - wrong * place // (digits + 2), n) for place in range(digits + 2))
    chains = tuple((length, (n - wrong) // (digits + 1), n // (digits + 1)) for length in range(digits + 1))
    return Anatomy(label, suite, digits, 0, 0, n, counts, positions, chains)
