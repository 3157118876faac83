"""Counted FLOPs are those that torch counts while the model runs."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from arith.config.schema import RunConfig
from arith.evaluation.teacher_forced import judge_batch
from arith.experiment.experiment import Experiment
from arith.model.cost import block_parameters, forward_flops, palm_flops, training_flops

SHAPES = [
    {"preset": "nano"},
    {"preset": "micro", "loops": 3},
    {"layers": 3, "width": 32, "heads": 4, "hidden": 48, "loops": 2, "looped": 1, "loop_input": "embeddings"},
    {"layers": 3, "width": 48, "heads": 4, "key_heads": 2, "hidden": 80, "activation": "gelu"},
]


@pytest.mark.parametrize("encoding", ["learned", "rope", "t5", "alibi", "coupled-window"])
@pytest.mark.parametrize("shape", SHAPES, ids=["one layer", "looped", "summed", "grouped"])
def test_a_step_is_counted_exactly(encoding: str, shape: dict[str, object]) -> None:
    experiment = Experiment.of(RunConfig.of({"encoding": encoding, "model": shape, "data": {"digits": "2-5"}}))
    model = experiment.model()
    batch = experiment.training_data().batch(0, 6, torch.device("cpu"))
    tokens, vocabulary = batch.tokens.shape[1] - 1, experiment.vocabulary_size
    with FlopCounterMode(display=False) as counted:
        model.loss(batch).backward()
    assert counted.get_total_flops() == training_flops(
        model.config, vocabulary, 6, tokens, batch.queries, batch.logits_per_row
    )
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        judge_batch(model, batch)
    assert counted.get_total_flops() == 6 * forward_flops(model.config, vocabulary, tokens, batch.queries)


@pytest.mark.parametrize("shape", SHAPES[::3], ids=["one layer", "grouped"])
def test_weights_of_blocks_are_what_is_multiplied(shape: dict[str, object]) -> None:
    config = RunConfig.of({"encoding": "nope", "model": shape})
    model, blocks = Experiment.of(config).model(), config.model
    matrices = [weight.numel() for name, weight in model.named_parameters() if weight.ndim == 2 and "blocks" in name]
    assert block_parameters(blocks) == sum(matrices)
    attention = 4 * blocks.width * blocks.depth  # of a single token, which attends to itself
    assert forward_flops(blocks, 0, 1) == 2 * block_parameters(blocks) + attention


def test_all_answers_asked_for() -> None:
    config = RunConfig.of({"model": SHAPES[3]}).model
    assert forward_flops(config, 20, 9) == forward_flops(config, 20, 9, queries=9)
    assert forward_flops(config, 20, 9) > forward_flops(config, 20, 9, queries=8)


def test_palm_counts_little_more_where_all_is_asked_for() -> None:
    experiment = Experiment.of(RunConfig.of({"model": {"preset": "small"}, "encoding": "nope"}))
    parameters, model = experiment.model().parameter_count(), experiment.config.model
    # What differs: the embedding, which is no product, and norms.
    ours = training_flops(model, experiment.vocabulary_size, rows=1, tokens=64) / 64
    assert 1 < palm_flops(model, parameters, 64) / ours < 1.02
