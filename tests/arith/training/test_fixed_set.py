"""Sets of samples that are written once."""

import pytest
import torch

from arith.tasks.mixture import Mixture
from arith.training.fixed_set import FixedSet
from tests.arith.training.feeding import FORMATS, experiment_with, fed

CPU = torch.device("cpu")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("parts", "static"), [(1, False), (3, True)])
def test_a_fixed_set_is_written_once_and_gives_the_batches_of_one_written_anew(
    form: str, parts: int, static: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arith.training.feed.AHEAD", 600)  # a few steps in each block
    monkeypatch.setattr("arith.training.fixed_set.DRAWN", 32)  # and stretches of other widths
    experiment = experiment_with(
        format=form, encoding="random-tags+t5", data={"samples": 50, "digits": "1-5"}, training={"microbatches": parts}
    )
    kept, anew = fed(experiment, static=static), fed(experiment, static=static)
    kept.batches(0)
    with monkeypatch.context() as patched:
        patched.setattr("arith.training.fixed_set.MOST_TOKENS", 0)
        anew.batches(0)
        expected = [(anew.batches(step), anew.tokens(step)) for step in range(12)]
    monkeypatch.setattr(Mixture, "write", None)  # nothing is written again
    for step, (batches, tokens) in enumerate(expected):
        assert kept.tokens(step) == tokens
        for own, other in zip(kept.batches(step), batches, strict=True):
            assert own.samples.tokens.dtype == torch.uint8
            for name in ("tokens", "answer_mask", "key", "length", "total", "wanted", "ids"):
                torch.testing.assert_close(getattr(own, name), getattr(other, name), rtol=0, atol=0)
    with pytest.raises(TypeError):
        anew.batches(0)


@pytest.mark.parametrize(("samples", "kept"), [(None, False), (192, True), (193, False)])
def test_only_what_comes_again_is_kept(samples: int | None, kept: bool) -> None:
    experiment = experiment_with(data={"samples": samples})  # 12 steps of 16
    assert (FixedSet.of(experiment.training_data(), 12 * 16, CPU) is not None) == kept


def test_a_set_whose_operands_are_drawn_anew_is_not_kept() -> None:
    experiment = experiment_with(data={"samples": 50, "renumber": True})
    assert FixedSet.of(experiment.training_data(), 192, CPU) is None


def test_a_set_that_is_decorated_anew_is_not_kept() -> None:
    for form, kept in (("plain+spaces", False), ("padded:spare=2", False), ("padded-reversed", True)):
        experiment = experiment_with(format=form, data={"samples": 50, "redraw": True})
        assert (FixedSet.of(experiment.training_data(), 192, CPU) is not None) == kept
