"""docs/records.md: claims of length, size and cost, each beside the public number that it answers.

A claim names its recipe, curve and length, and whatever stands in the table is read from that recipe's results. One
without results is open, and its line says which command would measure it.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from arith.results.schema import GRID, Cell, Results
from arith.results.uncertainty import percent

Group = Literal["told the algorithm", "structure-aware", "structure-free"]
TOLD: Group = "told the algorithm"
SEEDS = 5  # with fewer a number is called a development figure
PROBLEMS = 400  # of a suite and seed: without a mistake among fewer, the 95% interval begins below 99%

SEAD = "16 -> 1,000,000 digits, 100%: a cellular automaton ([SEAD](https://arxiv.org/abs/2602.01651))"
TOOLS = "[tool-using SSMs](https://arxiv.org/abs/2510.14826)"
ADDED_BY_TOOLS = f"5 -> 1,000, 100%: Mamba with a tool, 1.4 billion parameters; transformers fail ({TOOLS})"
MULTIPLIED_BY_TOOLS = f"n x 2: 10 -> 1,000, 100%: Mamba with a tool; transformers 10 -> 14, 12% ({TOOLS})"
CELLULAR = "binary factors, 6 -> 683 times as long, a cellular automaton ([NCA](https://arxiv.org/abs/2603.29069))"
ABA = "20 -> 200 claimed ([ABA](https://openreview.net/forum?id=UZovxtlIym)), 2-2.5 times as long reproduced"
CARRYBIT = "[carrybit](https://github.com/Supergoatscriptguy/carrybit)"
SHARPENED = f"20 -> 40: 5%, with scores 1.4 times as sharp 89%, one seed ({CARRYBIT})"
ERODED = f"20 -> 40: 63% at its best, 11% at the end of training ({CARRYBIT})"
ADDERS = "62 verified, 28 claimed, from single runs ([AdderBoard](https://github.com/anadim/AdderBoard))"

ABOUT = f"""\
Written by `arith show records` from `results/`; a test holds it current. Exact match in %: each seed counts with its
worst suite; the median seed, and the worst in brackets. *Told the algorithm* is trained on the steps of schoolbook
arithmetic, *structure-aware* is told which digits belong together, *structure-free* neither: compare inside a group.
Fewer than {PROBLEMS} problems a suite and seed are a demonstration, fewer than {SEEDS} seeds a development figure.
`a -> b` is trained on up to a digits and tested at b. Public numbers were read on pages, in reviews and READMEs in
November 2026, those of tool-using models in a note on the paper; lengths, formats and sizes differ."""


@dataclass(frozen=True)
class Record:
    """A claim.

    Args:
        claim: the problem and the length, in words.
        group: what the model is given beyond answers; accuracies of different groups are not ranked together.
        public: the public number, with its source.
        recipe, label, digits: where its cells stand: results file, curve, and length of the longer operand. Without a
            recipe there is nothing yet that would measure it.
    """

    claim: str
    group: Group
    public: str
    recipe: str = ""
    label: str = ""
    digits: int = 0

    def cells(self, folder: Path) -> list[Cell]:
        """What was measured of it; cells of a grid of lengths left out."""
        path = folder / f"{self.recipe}.json"
        if not self.recipe or not path.is_file():
            return []
        found = Results.load(path).cells
        return [cell for cell in found if (cell.label, cell.digits) == (self.label, self.digits) and cell.suite != GRID]


@dataclass(frozen=True)
class Cost:
    """A claim of what one problem costs.

    Args:
        claim: the problem.
        bar: what it may take.
        file: the results file; empty: nothing has measured it yet.
        row: the fields by which its row is found there.
    """

    claim: str
    bar: str
    file: str = ""
    row: tuple[tuple[str, Any], ...] = ()


RECORDS = (
    Record("addition, 1,000 digits", "structure-aware", ADDED_BY_TOOLS, "thousand-digits", "coupled-window", 1000),
    Record("addition, 10,000 digits", "structure-aware", SEAD, "million-digits", "coupled-window", 10_000),
    Record("addition, 1,000,000 digits", "structure-aware", SEAD, "million-digits", "coupled-window", 1_000_000),
    Record("products 1,000 x 1, x 2", TOLD, MULTIPLIED_BY_TOOLS, "thin-products", "thin-products", 1000),
    Record("products 10,000 x 1, x 2", TOLD, MULTIPLIED_BY_TOOLS, "thin-products", "thin-products", 10_000),
    Record("products 50 x 50", TOLD, CELLULAR, "multiplication-looped", "multiplication-looped", 50),
    Record("products 60 x 60", TOLD, CELLULAR, "multiplication-two-digits", "multiplication-two-digits", 60),
    Record("products 200 x 200", TOLD, CELLULAR, "large-products", "sliding-window", 200),
    Record("products 400 x 400", TOLD, CELLULAR, "large-products", "sliding-window", 400),
    Record("addition, 12 digits, fixed width", "structure-free", ABA, "fixed-width", "fixed-width", 12),
    Record("addition, 80 digits, canvas, `shaw`", "structure-free", ABA, "fixed-canvas", "shaw", 80),
    Record("the same, `relative-logits`", "structure-free", ABA, "fixed-canvas", "relative-logits", 80),
    Record("addition, 5 digits, no window", "structure-aware", SHARPENED, "extrapolation", "coupled", 5),
    Record("addition, 8 digits, no window, sharper", "structure-aware", SHARPENED),
    Record("the same 5 digits, three times the steps", "structure-aware", ERODED, "erosion", "coupled", 5),
    Record("addition, 10 digits, 411 parameters", "structure-aware", ADDERS, "smallest-adder", "adder-411", 10),
    Record("addition, 10 digits, 263 parameters", "structure-aware", ADDERS, "smallest-adder", "adder-263", 10),
)
COSTS = (
    Cost("addition of 1,000,000 digits", "120 s, 4 GiB", "million-digits-cost.json",
         (("digits", 1_000_000), ("suite", "random"))),
    Cost("product of 1,000 x 2 digits", "5 s", "thin-products-cost.json",
         (("factors", [1000, 2]), ("format", "padded-reversed:pad=answer,first=longest"))),
    Cost("product of 10,000 x 2 digits", "", "thin-products-cost.json",
         (("factors", [10_000, 2]), ("format", "padded-reversed:pad=answer,first=longest"))),
    Cost("`arith ask`: addition of 60,000 digits", "60 s", "asking-cost.json", (("digits", 60_000),)),
)  # fmt: skip


def render_records(folder: Path) -> str:
    """The page as Markdown, from a folder of results. A test compares it with the committed file."""
    lines = [
        "# Records",
        "",
        ABOUT,
        "",
        "| claim | group | trained on | exact match | problems, seeds | training, s | parameters | public |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(record, record.cells(folder)) for record in RECORDS]
    lines += [
        "",
        "## What one problem costs",
        "",
        "On CPU cores that other work shared: CPU seconds say more than the wall's. Imports are in those of",
        "`arith ask`, and in no others.",
        "",
        "| problem | bar | seconds | CPU seconds | peak, MiB | measured by |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_cost_row(cost, folder) for cost in COSTS]
    return "\n".join([*lines, ""])


def _row(record: Record, cells: Sequence[Cell]) -> str:
    if not cells:
        how = f"open: `arith reproduce {record.recipe}`" if record.recipe else "open"
        return _table_row(record.claim, record.group, "", how, "", "", "", record.public)
    seeds = sorted({cell.model_seed for cell in cells})
    worst = [min(cell.accuracy for cell in cells if cell.model_seed == seed) for seed in seeds]
    reached = f"{percent(statistics.median(worst))} ({percent(min(worst))})"
    kind = f", {len(seeds)} seeds"
    if len(seeds) < SEEDS:
        kind += ", development"
    elif min(cell.n for cell in cells) < PROBLEMS:
        kind += ", demonstration"
    low, high = cells[0].train_lengths
    seconds = sorted({round(cell.training_seconds) for cell in cells})
    return _table_row(
        record.claim,
        record.group,
        f"{low}-{high} digits",
        reached,
        f"{sum(cell.correct for cell in cells):,} of {sum(cell.n for cell in cells):,}{kind}",
        f"{seconds[0]:,}-{seconds[-1]:,}",
        f"{cells[0].parameters:,}",
        record.public,
    )


def _cost_row(cost: Cost, folder: Path) -> str:
    path = folder / cost.file
    known = bool(cost.file) and path.is_file()
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"] if known else []
    found = [row for row in rows if all(row[name] == value for name, value in cost.row)]
    if not found:
        return _table_row(cost.claim, cost.bar, "open", "", "", "")
    # Additions are timed in two parts: what draws the problem, and the pass.
    wall, cpu = (found[0][name] + found[0].get(f"data_{name}", 0) for name in ("seconds", "cpu_seconds"))
    source, peak = f"[{cost.file}](../results/{cost.file})", found[0]["peak_mebibytes"]
    return _table_row(cost.claim, cost.bar, f"{wall:.1f}", f"{cpu:.1f}", f"{peak:.0f}", source)


def _table_row(*entries: str) -> str:
    return f"| {' | '.join(entries)} |"
