"""A model card: what a model is, its accuracy by digit length, how to use it. Its numbers are those of results.json."""

import re
from collections.abc import Sequence
from pathlib import Path

from arith.catalogue.named import format_named, task_named
from arith.config.pretrained import CONFIG, ENCODING, PREFIX
from arith.config.schema import RunConfig
from arith.config.starting import place_of
from arith.data.typed import example_problem, write_typed
from arith.errors import UsageError
from arith.process.reading import read_json
from arith.results.schema import GRID, Cell, Results
from arith.results.uncertainty import percent


def write_card(name: str, config: RunConfig, results: Results, parameters: int) -> str:
    """The card as Markdown, with the metadata that the Hugging Face hub reads at its head.

    Args:
        name: the model's name.
        config: the run's configuration.
        results: the run's results.
        parameters: how many the model has.
    """
    # A grid has a cell for each pair of lengths: too many rows for a card.
    cells = [cell for cell in results.cells if cell.suite != GRID]
    first = cells[0]
    seeds = f"model seed {first.model_seed}, data seed {first.data_seed}, test seed {first.test_seed}"
    return f"""---
{_origin(config)}library_name: transformers
pipeline_tag: text-generation
tags: [arith, arithmetic, length-generalization]
---

# {name}

{_about(config, first, parameters)}

## What it reaches

Exact match on test problems, in % with its 95% Wilson interval, n problems a cell. One model,
{seeds}; step {first.step}, {first.samples:,} training samples, {first.training_seconds:g} s.

{_table(cells)}

{_seen(cells)}

## Use

{_use(config)}

It answers {config.tested_task} in that format and nothing else. Operands longer than the tested ones are untested.
`results.json` holds the numbers above.
"""


def _origin(config: RunConfig) -> str:
    """The licence, and what the model was trained from: for a pretrained model what its folder says, or nothing."""
    if not config.reads_text:
        return "license: apache-2.0\n"
    folder = Path(str(config.model.init).removeprefix(PREFIX))
    described = _front_matter(folder / "README.md")
    licence = described.get("license")
    # transformers writes down where a model was loaded from: a name on the hub, or a path of some machine.
    try:
        named = str(read_json(folder / CONFIG).get("_name_or_path", ""))
    except UsageError:  # the folder may be gone by now
        named = ""
    lines = [f"license: {licence}"] if licence else []
    lines += [f"base_model: {named}"] if re.fullmatch(r"[\w.-]+/[\w.-]+", named) else []
    return "".join(f"{line}\n" for line in lines)


def _front_matter(card: Path) -> dict[str, str]:
    """The fields of one line at the head of a card, between two lines of dashes."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    head, dashes, _ = text.removeprefix("---\n").partition("\n---")
    if not text.startswith("---\n") or not dashes:
        return {}
    pairs = (line.partition(":") for line in head.splitlines() if not line.startswith((" ", "-", "#")))
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}


def _about(config: RunConfig, first: Cell, parameters: int) -> str:
    low, high = first.train_lengths
    task = f"**{config.task}** of operands of {low}-{high} digits"
    prompt, answer = _example(config)
    reads = f"It reads and writes the format `{config.tested_format}`: `{prompt}` is answered by `{answer}`."
    aware = "told" if first.structure_aware else "not told"
    encoding = f"positional encoding `{config.encoding}`, which is {aware} which digits belong together"
    if config.reads_text:
        # A pretrained model has positions of its own, about which arith knows nothing to say.
        start = Path(str(config.model.init)).name
        added = "" if config.encoding == ENCODING else f" with the\n{encoding}"
        began = f"A model of {parameters:,} parameters that began as the pretrained `{start}`"
        return f"{began}, trained on {task}{added}.\n{reads}"
    told = "It was told every step of an algorithm: compare it with none that learned from answers.\n"
    steps = told if first.supervision == "algorithm" else ""
    began = "" if config.model.init is None else f"that began as `{place_of(config.model.init).name}`, "
    return f"A transformer of {parameters:,} parameters, {began}trained on {task} with the\n{encoding}.\n{steps}{reads}"


def _example(config: RunConfig) -> tuple[str, str]:
    """A problem and its answer as the model reads and writes them; a format that draws does so for sample 0."""
    task, form = task_named(config.tested_task), format_named(config.tested_format)
    typed = write_typed(example_problem(task), task, form, seed=0)
    return typed.prompt, typed.answer


def _use(config: RunConfig) -> str:
    prompt, _ = _example(config)
    problem = example_problem(task_named(config.tested_task))
    shell = [f"arith ask FOLDER {problem}", "arith evaluate FOLDER --test-digits 1-5 --samples 100"]
    python = [
        "import arith.hf.model  # pip install 'arith-toolkit[hf]'",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        "tokenizer = AutoTokenizer.from_pretrained(FOLDER)",
        "model = AutoModelForCausalLM.from_pretrained(FOLDER)",
        f'prompt = tokenizer("{prompt}", return_tensors="pt")',
        "print(tokenizer.decode(model.generate(**prompt)[0]))",
    ]
    # The package called arith is a stranger's.
    shell = ["pip install 'arith-toolkit[hf]'", *shell]
    if config.reads_text:
        # Such a model is an ordinary one of transformers, and needs no import of arith.
        shell = [f"arith evaluate --hf FOLDER --format {config.tested_format} --test-digits 1-5 --samples 100"]
        python = python[1:]
    return "\n".join(["```sh", *shell, "```", "", "```python", *python, "```"])


def _table(cells: Sequence[Cell]) -> str:
    """A table with a row for each digit length and a column for each suite."""
    suites = list(dict.fromkeys(cell.suite for cell in cells))
    by_place = {(cell.digits, cell.suite): cell for cell in cells}
    rows = [f"| digits | n | {' | '.join(suites)} |", "|---" * (len(suites) + 2) + "|"]
    for digits in sorted({cell.digits for cell in cells}):
        row = [by_place.get((digits, suite)) for suite in suites]
        counts = sorted({cell.n for cell in row if cell is not None})
        rows.append(f"| {digits} | {', '.join(map(str, counts))} | {' | '.join(map(_entry, row))} |")
    return "\n".join(rows)


def _entry(cell: Cell | None) -> str:
    return "-" if cell is None else f"{percent(cell.accuracy)} ({percent(cell.low)}-{percent(cell.high)})"


def _seen(cells: Sequence[Cell]) -> str:
    """A sentence on the test problems that the training data held: of one digit there are too few to keep apart."""
    seen = {cell.digits: cell.seen / cell.n for cell in cells if cell.seen}
    if not seen:
        return "None of these problems was in the training data."
    lengths = ", ".join(map(str, sorted(seen)))
    return f"The training data held some of the tested problems of {lengths} digits, of which there are few."
