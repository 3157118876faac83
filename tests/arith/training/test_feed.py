"""The data of each step."""

import dataclasses
from collections import Counter

import pytest
import torch

from arith.training.distributed import World
from tests.arith.training.feeding import FORMATS, experiment_with, fed

CPU = torch.device("cpu")


@pytest.mark.parametrize("form", FORMATS)
def test_a_feed_gives_the_samples_of_each_step_from_any_step_on(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = experiment_with(format=form, encoding="rope@randomized:span=400+t5", data={"samples": 50})
    model = experiment.model()
    for ahead in (2**20, 600):  # all steps in one block, or a few in each
        monkeypatch.setattr("arith.training.feed.AHEAD", ahead)
        feed = fed(experiment)
        for step in (0, 1, 7, 2, 40):
            (batch,) = feed.batches(step)
            alone = experiment.training_data().batch(step * 16, 16, CPU)
            assert torch.equal(batch.tokens, alone.tokens)
            assert torch.equal(batch.answer_mask, alone.answer_mask)
            assert torch.equal(batch.key, alone.key)
            assert batch.shortest_prompt == alone.shortest_prompt
            ids = model.encoding.full(alone.prompt, alone.tokens, alone.key, alone.capacity)
            assert batch.ids is not None
            assert all(torch.equal(own, other) for own, other in zip(batch.ids, ids, strict=True))
            assert float(batch.total) == int(alone.answer_mask.sum())
            assert feed.tokens(step) == (int(alone.length.sum()), alone.tokens.numel())


@pytest.mark.parametrize("form", FORMATS)
def test_the_loss_is_that_of_all_queries(form: str) -> None:
    """Answers begin at different places, so that few of the queries are asked in any one row."""
    batch = experiment_with(format=form, data={"digits": "1-9"}).training_data().batch(0, 64, CPU)
    model = experiment_with(format=form, data={"digits": "1-9"}).model().double()
    assert batch.logits_per_row < batch.queries
    whole = dataclasses.replace(batch, longest_answer=batch.queries)
    assert whole.picked is None
    losses = [model.loss(own) for own in (batch, whole)]
    torch.testing.assert_close(*losses)
    of_few, of_all = (torch.autograd.grad(loss, list(model.parameters())) for loss in losses)
    torch.testing.assert_close(of_few, of_all)


def test_loops_are_drawn_for_a_step_and_alike_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"model": {"loops": "2-5"}, "training": {"microbatches": 3}}
    whole = fed(experiment_with(**values))
    of_step = [[batch.drawn_loops for batch in whole.batches(step)] for step in range(200)]
    assert all(len(loops) == 3 and len(set(loops)) == 1 for loops in of_step)
    counts = Counter(loops[0] for loops in of_step)
    assert sorted(counts) == [2, 3, 4, 5]
    assert min(counts.values()) > 30  # of 50 that are expected
    monkeypatch.setattr("arith.training.feed.AHEAD", 600)
    second = fed(experiment_with(**values), World(1, 2))
    for step in (150, 7, 8):
        assert [batch.drawn_loops for batch in second.batches(step)] == of_step[step], "of the step alone"
    other = fed(experiment_with(**values, data={"seed": 1}))
    assert [other.batches(step)[0].drawn_loops for step in range(200)] != [loops[0] for loops in of_step]
    fixed = fed(experiment_with(model={"loops": "3-3"}))
    assert fixed.batches(0)[0].drawn_loops is None


def test_parts_of_like_length_have_less_padding() -> None:
    of = {parts: experiment_with(training={"microbatches": parts}, data={"digits": "1-20"}) for parts in (1, 4)}
    (real, whole), (same, split) = (fed(of[parts]).tokens(3) for parts in (1, 4))
    assert real == same
    assert split < 0.85 * whole
