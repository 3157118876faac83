"""The functions that arith.yaml names: the problems of a test, and whether a reply is right."""

from pathlib import Path
from typing import Any

import arith.hf.model  # noqa: F401  registers arith's models
from arith.catalogue.named import format_named, task_named
from arith.config.reading import digit_list
from arith.evaluation.text.number import judge_reply
from arith.evaluation.text.prompts import TextTest
from arith.evaluation.text.reply import first_line
from arith.experiment.shipped import read_test_settings


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
    """Test problems, written as text. The arguments are what `--metadata` and `--model_args` hold.

    Args:
        pretrained: the model's folder; if arith wrote it, its task and format are the default.
        task: see `arith.catalogue.named`.
        format: how numbers are written, see there.
        digits: digit lengths, such as 1-5.
        samples: problems of each length.
        suite: how operands are drawn, see `arith.tasks.suites`.
        seed: the seed of the test problems.
        shots: solved examples before each problem.
        others: the model's other arguments, which are no concern of a data set.
    """
    # No dependency of arith, but one of the harness, which alone calls this.
    from datasets import Dataset

    defaults = read_test_settings(Path(pretrained or ""))
    of = TextTest(task or defaults.get("task", "addition"), format or defaults.get("format", "plain"), seed, shots)
    rows = []
    # YAML and JSON read a single length as a number.
    for test in of.tests(digit_list(str(digits)), [suite], samples).conditions():
        problems = of.problems(test)
        for prompt, bare, answer in zip(problems.prompts, problems.bare, problems.answers, strict=True):
            row = {"prompt": prompt, "bare": bare, "answer": answer, "digits": test.digits}
            rows.append(row | {"task": of.task, "format": of.format})
    return {"test": Dataset.from_list(rows)}


def results(doc: dict[str, Any], replies: list[str]) -> dict[str, float]:
    """Whether the reply's first line means the answer, as `arith evaluate --hf` reads it.

    Args:
        doc: a row of `dataset`.
        replies: the model's reply, in a list as the harness passes it.
    """
    reply = first_line(replies[0])
    judged = judge_reply(task_named(doc["task"]), format_named(doc["format"]), doc["bare"], reply, doc["answer"])
    return {"exact_match": float(judged.right)}
