"""`import arith` is enough for a task, a format, problems and an encoding, and costs nothing until one is used."""

import subprocess
import sys
from pathlib import Path

import pytest

import arith
from arith.errors import UsageError


def test_every_name_is_there_and_none_costs_an_import_of_torch_before_it_needs_one(root: Path) -> None:
    assert set(arith.__all__) <= set(dir(arith))
    code = (
        "import sys, arith\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "arith.task('addition'), arith.format('reversed+hints')\n"
        "assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_problems_are_what_arith_generate_writes() -> None:
    # What `arith generate addition --format reversed --seed 3` exports.
    from arith.catalogue import format_named
    from arith.config.schema import DataConfig
    from arith.data.export import rows
    from arith.data.problems import training_problems

    written = rows(
        training_problems("addition", DataConfig((1, 4), seed=3), "train"), format_named("reversed"), ["addition"], 20
    )
    texts = arith.problems("addition", "reversed", digits="1-4", seed=3).texts(0, 20)
    assert texts == [(row["prompt"], row["answer"]) for row in written]
    assert texts == arith.problems("addition", "reversed", digits=(1, 4), seed=3).texts(0, 20)
    assert texts[5:] == arith.problems("addition", "reversed", digits=(1, 4), seed=3).texts(5, 15)


@pytest.mark.parametrize("digits", ["5", 5, (5, 5)])
def test_one_length_is_written_in_three_ways(digits: str | int | tuple[int, int]) -> None:
    (prompt, _), *_ = arith.problems("multiplication", digits=digits).texts(0, 1)
    assert [len(factor) for factor in prompt.removesuffix("=").split("*")] == [5, 5]


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("adition",), {}, "Did you mean"),
        (("addition", "revered"), {}, "Did you mean"),
        (("reverse", "padded"), {}, "does not pad"),
        (("addition",), {"digits": "4-1"}, "a range rises"),
        (("addition",), {"digits": (4, 1)}, "a range rises"),
        (("addition",), {"digits": 5, "suite": "chains"}, "Suites: random"),
        (("addition",), {"digits": "1-5", "suite": "chain"}, "of one length"),
        (("addition", "padded:width=3"), {"digits": 5}, "width=5 or more"),
    ],
)
def test_what_cannot_be_is_refused_before_a_problem_is_drawn(
    arguments: tuple[str, ...], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        arith.problems(*arguments, **settings)  # type: ignore[arg-type]
