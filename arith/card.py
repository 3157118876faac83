"""A model card: what a model is, what it reaches by digit length, how it is used. Its numbers are results.json's."""

from collections.abc import Sequence
from pathlib import Path

import arith
from arith.asking import example_problem
from arith.config import RunConfig
from arith.intervals import percent
from arith.naming import format_named, task_named
from arith.results import GRID, Cell, Results


def card(name: str, config: RunConfig, results: Results, parameters: int) -> str:
    """The card, as Markdown with what the Hugging Face hub reads at its head."""
    cells = [cell for cell in results.cells if cell.suite != GRID]
    first = cells[0]
    low, high = first.train_lengths
    task, form = task_named(config.tested_task), format_named(config.tested_format)
    problem = example_problem(task)
    numbers = [int(number) for number in problem.split(task.symbol)] if task.symbol else [int(problem)]
    written = form.text(task, *numbers).rpartition("=")
    aware = "told" if first.structure_aware else "not told"
    ours = config.model.init is None
    kind = "A transformer" if ours else f"A pretrained model (`{Path(str(config.model.init)).name}`)"
    encoded = (
        f" with the\npositional encoding `{config.encoding}`, which is {aware} which digits belong together"
        if ours
        else ""
    )
    asked = (
        f'arith ask FOLDER "{problem}"                 # of arith-toolkit {arith.__version__}\narith evaluate FOLDER'
    )
    asked = asked if ours else f"arith evaluate --hf FOLDER --format {config.tested_format}"
    registered = "import arith.hf.model                        # pip install 'arith-toolkit[hf]'\n" if ours else ""
    seeds = f"model seed {first.model_seed}, data seed {first.data_seed}, test seed {first.test_seed}"
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [arith, arithmetic, length-generalization]
---

# {name}

{kind} of {parameters:,} parameters, trained on **{config.task}** of operands of {low}-{high} digits{encoded}.
It reads and writes the format `{config.tested_format}`: `{written[0]}{written[1]}` is answered by `{written[2]}`.

## What it reaches

Exact match on test problems, in % with its 95% Wilson interval, n problems a cell. One model,
{seeds}; step {first.step}, {first.samples:,} training samples, {first.training_seconds:g} s.

{_table(cells)}

{_seen(cells)}

## Use

```sh
{asked} --test-digits 1-5 --samples 100
```

```python
{registered}from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForCausalLM.from_pretrained(FOLDER)
prompt = tokenizer("{written[0]}{written[1]}", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt)[0]))
```

It answers {config.tested_task} in that format and nothing else. Operands longer than the tested ones are untested.
`results.json` holds the numbers above.
"""


def _table(cells: Sequence[Cell]) -> str:
    """A row a length, a column a suite."""
    suites = list(dict.fromkeys(cell.suite for cell in cells))
    found = {(cell.digits, cell.suite): cell for cell in cells}
    rows = [f"| digits | n | {' | '.join(suites)} |", "|---" * (len(suites) + 2) + "|"]
    for digits in sorted({cell.digits for cell in cells}):
        own = [found.get((digits, suite)) for suite in suites]
        counts = sorted({cell.n for cell in own if cell is not None})
        rows.append(f"| {digits} | {', '.join(map(str, counts))} | {' | '.join(map(_entry, own))} |")
    return "\n".join(rows)


def _entry(cell: Cell | None) -> str:
    return "-" if cell is None else f"{percent(cell.accuracy)} ({percent(cell.low)}-{percent(cell.high)})"


def _seen(cells: Sequence[Cell]) -> str:
    """Which test problems the training data held."""
    seen = {cell.digits: cell.seen / cell.n for cell in cells if cell.seen}
    if not seen:
        return "None of these problems was in the training data."
    lengths = ", ".join(map(str, sorted(seen)))
    return f"Of {lengths} digits there are so few problems that the training data held some of the tested ones."
