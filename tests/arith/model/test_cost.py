"""Counted FLOPs are those that torch counts while the model runs."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from arith.config.schema import RunConfig
from arith.evaluation.exact_match import cost, costs
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


PRODUCTS = {"task": "multiplication", "format": "padded-all-reversed:width=5", "data": {"digits": "1-5"}}
LOOPS = {"layers": 4, "width": 32, "heads": 4, "hidden": 48, "loops": 5, "looped": 1}


@pytest.mark.parametrize("encoding", ["lookup", "rope"])
@pytest.mark.parametrize("prompt_layers", [None, 1, 3])
def test_layers_that_look_up_or_see_the_answer_alone_are_counted_exactly(
    encoding: str, prompt_layers: int | None
) -> None:
    values = {"encoding": encoding, "model": {**LOOPS, "prompt_layers": prompt_layers}, "evaluation": {"digits": [5]}}
    experiment = Experiment.of(RunConfig.of(PRODUCTS).with_values(values))
    model, batch = experiment.model(), experiment.training_data().batch(0, 6, torch.device("cpu"))
    tokens, lanes = batch.tokens.shape[1] - 1, model.encoding.lanes
    with FlopCounterMode(display=False) as counted:
        model.loss(batch).backward()
    sizes = (experiment.vocabulary_size, 6, tokens, batch.queries, batch.logits_per_row)
    assert counted.get_total_flops() == training_flops(model.config, *sizes, lanes=lanes)
    assert lanes == (encoding == "lookup")


@pytest.mark.parametrize(("rows", "share"), [(4, 0.1), (1000, 0.9)])
def test_sets_of_tokens_that_meet_are_counted_as_many_as_there_can_be(rows: int, share: float) -> None:
    model = {**LOOPS, "loop_input": "embeddings", "prompt_layers": 1}
    values = {"encoding": "sliding-lookup", "model": model, "evaluation": {"digits": [5]}}
    experiment = Experiment.of(RunConfig.of(PRODUCTS).with_values(values))
    built, batch = experiment.model(), experiment.training_data().batch(0, rows, torch.device("cpu"))
    with FlopCounterMode(display=False) as counted:
        built.loss(batch).backward()
    sizes = (experiment.vocabulary_size, rows, batch.tokens.shape[1] - 1, batch.queries, batch.logits_per_row)
    foretold = training_flops(built.config, *sizes, lanes=2)
    assert share * foretold < counted.get_total_flops() < foretold
    loop_by_loop = training_flops(built.config, *sizes)
    assert loop_by_loop > (1 if rows == 4 else 2) * foretold


@pytest.mark.parametrize("shape", SHAPES[::3], ids=["one layer", "grouped"])
def test_weights_of_blocks_are_what_is_multiplied(shape: dict[str, object]) -> None:
    config = RunConfig.of({"encoding": "nope", "model": shape})
    model, blocks = Experiment.of(config).model(), config.model
    matrices = [weight.numel() for name, weight in model.named_parameters() if weight.ndim == 2 and "blocks" in name]
    assert block_parameters(blocks) == sum(matrices)
    attention = 4 * blocks.width * blocks.depth  # of a single token, which attends to itself
    assert forward_flops(blocks, 0, 1) == 2 * block_parameters(blocks) + attention


def test_a_step_of_drawn_loops_is_counted_as_the_mean() -> None:
    shape = {"layers": 2, "looped": 1, "width": 32, "heads": 4, "hidden": 48}
    each = [RunConfig.of({"model": {**shape, "loops": loops}}).model for loops in (3, 4, 5, 6)]
    drawn, sizes = RunConfig.of({"model": {**shape, "loops": "3-6"}}).model, (20, 8, 9)
    assert training_flops(drawn, *sizes) == sum(training_flops(own, *sizes) for own in each) / 4
    assert palm_flops(drawn, 1000, 9) == sum(palm_flops(own, 1000, 9) for own in each) / 4
    assert forward_flops(drawn, 20, 9) == forward_flops(each[-1], 20, 9), "as in tests"


@pytest.mark.parametrize(("loops", "tested"), [(3, None), (3, 5), ("2-3", None), ("2-3", 1)])
def test_a_test_is_counted_with_its_own_loops(loops: object, tested: int | None) -> None:
    values = {"model": {"layers": 2, "loops": loops}, "evaluation": {"loops": tested}, "encoding": "rope"}
    experiment = Experiment.of(RunConfig.of(values))
    model, batch = experiment.model(), experiment.test_data("random", 5).batch(0, 1, torch.device("cpu"))
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model(batch.tokens[:, :-1], tuple(ids[..., :-1] for ids in batch.placed_by(model.encoding)))
    assert counted.get_total_flops() == cost(model, batch.tokens.shape[1])
    assert counted.get_total_flops() == forward_flops(
        replace(model.config, loops=tested or 3), experiment.vocabulary_size, batch.tokens.shape[1] - 1
    )


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


def test_products_in_loops_cost_as_many_as_the_second_factor_has_digits() -> None:
    values = {
        "task": "multiplication",
        "format": "padded-reversed:pad=answer,first=longest",
        "encoding": "sliding-window",
        "trace": {"kind": "carry-save"},
        "model": {"layers": 1, "width": 32, "heads": 4, "hidden": 48},
        "evaluation": {"digits": [4, 20], "suites": ["random", "thin"], "samples": 10, "long_samples": 10},
    }
    experiment = Experiment.of(RunConfig.of(values))
    with torch.device("meta"):
        model = experiment.model()
    found = costs(experiment, model, experiment.tests.conditions())
    loops = {}
    for test, flops in found.items():
        tokens = experiment.tests.format.longest(experiment.tests.task, test.digits)[0]
        once, twice = (
            forward_flops(replace(model.config, loops=number), experiment.vocabulary_size, tokens - 1)
            for number in (1, 2)
        )
        loops[test.suite, test.digits] = 1 + (flops / test.n - once) / (twice - once)
    assert loops["random", 4] == 4
    assert loops["random", 20] == 20
    assert loops["thin", 20] in (1, 2)
