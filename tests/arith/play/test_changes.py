"""What an edited digit changes."""

from pathlib import Path

import pytest

from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.model.transformer import Transformer
from arith.play.changes import compare
from arith.play.trace import trace

Loaded = tuple[Experiment, Transformer]


@pytest.fixture(scope="module")
def addition() -> Loaded:
    run = open_model(Path("addition"))
    experiment = Experiment.of(run.config)
    return experiment, run.load_model(experiment)[0]


def test_only_the_tokens_that_differ_are_marked(addition: Loaded) -> None:
    before, after = trace(*addition, "123+456"), trace(*addition, "193+456")
    found = compare(before, after)
    # ^123+456=9750 becomes ^193+456=9460: the edited digit, the sum's tens and the carry into its hundreds.
    assert found["problem"] == "123+456"
    assert found["tokens"] == [2, 10, 11]
    assert found["ids"] == [[[]]]
    assert [own["changed"] for own in found["reply"]] == [False, True, True, False, False]
    assert [own["token"] for own in found["reply"]] == ["9", "7", "5", "0", "$"]
    assert [own["moved"] > 0.9 for own in found["reply"]] == [False, True, True, False, False]
    assert [len(heads) for heads in found["moved"]] == [2]


def test_a_problem_changes_nothing_against_itself(addition: Loaded) -> None:
    own = trace(*addition, "7+5")
    found = compare(own, own)
    assert found["tokens"] == []
    assert found["ids"] == [[[]]]
    assert found["moved"] == [[0.0, 0.0]]
    assert not any(one["changed"] or one["moved"] for one in found["reply"])


def test_places_of_lines_of_other_lengths_are_not_compared(addition: Loaded) -> None:
    found = compare(trace(*addition, "9+9"), trace(*addition, "123+456"))
    assert found["tokens"] is found["ids"] is found["moved"] is None
    assert found["reply"][-1] is None  # there the earlier answer had ended
    assert found["reply"][0]["token"] == "8"
