"""What the harness asks for: the problems of a test, and whether a reply is right."""

from pathlib import Path
from typing import Any

import arith.hf.model  # noqa: F401  registers arith's models
from arith.config.reading import digit_list
from arith.evaluation.text.prompts import TextTest, is_right
from arith.experiment.shipped import tested


def dataset(
    pretrained: str | None = None,
    task: str | None = None,
    format: str | None = None,  # noqa: A002  the setting's name everywhere
    digits: str = "1-5",
    samples: int = 100,
    suite: str = "random",
    seed: int = 2311,
    shots: int = 0,
    **others: Any,
) -> dict[str, Any]:
    """Test problems, written as text.

    Args:
        pretrained: the model's folder, as the harness was told; if arith wrote it, its task and format are taken.
        others: whatever else the harness knows of the model.
    """
    from datasets import Dataset  # the harness brings it

    own = tested(Path(pretrained or ""))
    of = TextTest(task or own.get("task", "addition"), format or own.get("format", "plain"), seed, shots)
    rows = []
    for test in of.sets(digit_list(str(digits)), [suite], samples):
        asked = of.problems(test)
        for prompt, bare, answer in zip(asked.prompts, asked.bare, asked.answers, strict=True):
            row = {"prompt": prompt, "bare": bare, "answer": answer, "digits": test.digits}
            rows.append(row | {"task": of.task, "format": of.format})
    return {"test": Dataset.from_list(rows)}


def results(doc: dict[str, Any], replies: list[str]) -> dict[str, float]:
    """Whether the reply's first line ends in the answer."""
    reply = replies[0].lstrip().partition("\n")[0]
    return {"exact_match": float(is_right(doc["task"], doc["format"], doc["bare"], reply, doc["answer"]))}
