"""A transformer: its loss, its loops, and layers after them."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from arith.config.schema import RunConfig
from arith.encodings.base import Positions
from arith.errors import UsageError
from arith.evaluation.attention import record_attention
from arith.evaluation.teacher_forced import judge_batch
from arith.experiment.experiment import Experiment
from arith.model.cache import Cache
from arith.model.transformer import Transformer
from arith.tasks import vocabulary

CPU = torch.device("cpu")
DIGITS = 3
SUMMED = {
    "task": "multiplication",
    "format": f"padded-all-reversed:width={DIGITS}",
    "encoding": "sliding-lanes",
    "data": {"digits": f"1-{DIGITS}"},
    "model": {
        "layers": 3,
        "looped": 1,
        "loops": DIGITS,
        "loop_input": "embeddings",
        "activation": "gated-sine",
        "width": 32,
        "heads": 4,
        "hidden": 32,
    },
    "evaluation": {"digits": [1, 3]},
}


def summed(**model: object) -> RunConfig:
    return RunConfig.of(SUMMED).with_values({"model": model})


def logits(model: Transformer, tokens: Tensor, positions: tuple[Positions, ...]) -> Tensor:
    """As the formula says: x = e + sum over loops t of (f_t(e) - e), then the layers after them."""
    encoding, layers = model.encoding, model.config.layers
    e = encoding.embed(model.embedding(tokens), positions)
    x = e.clone()
    for loop in range(model.config.loops):
        slid = encoding.slide(positions, loop)
        x += model.stack(e, loop, None, None, slid, slid, None, range(1)) - e
    slid = encoding.slide(positions, model.config.loops)
    found: Tensor = model.head(model.norm(model.stack(x, 9, None, None, slid, slid, None, range(1, layers))))
    return found


def test_loops_are_summed() -> None:
    experiment = Experiment.of(summed())
    model, batch = experiment.model().eval(), experiment.training_data().batch(0, 8, CPU)
    ids = model.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
    found = model(batch.tokens, ids)
    torch.testing.assert_close(found, logits(model, batch.tokens, tuple(Positions(own, own) for own in ids)))
    in_turn = Experiment.of(summed(loop_input="state")).model().eval()
    in_turn.load_state_dict(model.state_dict())
    assert not torch.allclose(in_turn(batch.tokens, ids), found, atol=1e-3)


def test_embeddings_are_added_again_before_every_loop_but_the_first() -> None:
    experiment = Experiment.of(summed(loop_input="both", loops=3))
    model, batch = experiment.model().eval(), experiment.training_data().batch(0, 8, CPU)
    ids = batch.placed_by(model.encoding)
    positions = model.encoding.place(ids)
    e = x = model.encoding.embed(model.embedding(batch.tokens), positions)
    for loop in range(4):
        slid = model.encoding.slide(positions, loop)
        x = x / x.square().mean(-1, keepdim=True).sqrt() + e if loop in (1, 2) else x
        x = model.stack(x, loop, None, None, slid, slid, None, range(1) if loop < 3 else range(1, 3))
    torch.testing.assert_close(model(batch.tokens, ids), model.head(model.norm(x)))


@pytest.mark.parametrize("looped", [None, 1])
def test_loops_of_a_step_and_of_tests_are_those_of_a_model_that_has_so_many(looped: int | None) -> None:
    shape = {"layers": 2, "looped": looped, "loop_input": "both"}
    of = {
        loops: experiment_with(model={**shape, "loops": loops}, evaluation={"loops": tested})
        for loops, tested in (("2-4", None), (4, 3), (2, None), (3, None))
    }
    drawn, fixed, *others = (experiment.model().double() for experiment in of.values())
    two, three = others
    batch = of[2].training_data().batch(0, 8, CPU)
    ids = batch.placed_by(drawn.encoding)
    for model in (fixed, two, three):
        model.load_state_dict(drawn.state_dict())
    assert torch.equal(drawn.loss(replace(batch, drawn_loops=2)), two.loss(batch))
    assert torch.equal(drawn.loss(batch), fixed.loss(batch)), "training has the most unless it draws"
    assert torch.equal(fixed(batch.tokens, ids), three(batch.tokens, ids)), "evaluation.loops"
    assert torch.equal(drawn(batch.tokens, ids), fixed(batch.tokens, ids, loops=4)), "tests have the most of a range"
    assert not torch.allclose(drawn(batch.tokens, ids), three(batch.tokens, ids))
    cut = batch.shortest_prompt
    cache = Cache()
    first = fixed(batch.tokens[:, :cut], tuple(own[..., :cut] for own in ids), cache=cache)
    rest = fixed(batch.tokens[:, cut:], tuple(own[..., cut:] for own in ids), cache=cache)
    torch.testing.assert_close(torch.cat([first, rest], 1), three(batch.tokens, ids))
    assert len(cache.keys) == (3 * 2 if looped is None else 3 + 1)
    assert fixed.passes_of_answer(batch.prompt, 5) == 5 * len(cache.keys)


def test_a_head_begins_at_its_digit_of_each_loop() -> None:
    experiment = Experiment.of(summed())
    batch = experiment.training_data().batch(0, 1, CPU)
    weights = record_attention(experiment.model().eval(), batch)
    # ^ a a a * b b b = c c c c c c $: the token before column k is at 8 + k.
    for loop in range(DIGITS):
        for column in range(2 * DIGITS):
            by_head = weights[loop][0, :, 8 + column]
            a, b = 1 + column - loop, 5 + loop
            for head in (0, 1):
                if 0 <= column - loop < DIGITS:
                    assert by_head[head, a] > 0.99
                else:  # no digit is there: signs
                    assert by_head[head, [0, 4]].sum() > 0.99
            for head in (2, 3):
                assert by_head[head, b] > 0.99


def test_a_step_learns_and_answers_are_judged() -> None:
    experiment = Experiment.of(summed())
    model, data = experiment.model(), experiment.training_data()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(30):
        loss = model.loss(data.batch(32 * step, 32, CPU))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert len(judge_batch(model.eval(), data.batch(0, 5, CPU)).right) == 5


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"looped": 0}, "model.looped is 1 or more, got 0"),
        ({"looped": 4}, "Got 4"),
        ({"loop_input": "sum"}, "model.loop_input"),
        ({"activation": "sine"}, "gated-sine"),
        ({"looped": 3}, "layers after the loops"),
        ({"loop_input": "both", "loops": 1, "looped": None}, "one loop: set model.loops"),
    ],
)
def test_what_cannot_be_is_refused(model: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Experiment.of(summed(**model))


def test_a_trace_has_loops_of_its_own() -> None:
    told = {"trace": {"kind": "carry-save"}, "model": {"loops": 1, "looped": None}, "format": "padded-reversed"}
    with pytest.raises(UsageError, match="Got 1, None, embeddings"):
        Experiment.of(RunConfig.of(SUMMED).with_values(told))


def test_greedy_stops_at_end_marks_and_takes_equal_lengths_only() -> None:
    experiment = Experiment.of(RunConfig())
    model = experiment.model()
    ragged = experiment.training_data().batch(0, 8, CPU)
    with pytest.raises(ValueError, match="prompts of equal length"):
        model.answer(ragged.prompt, ragged.key, 3, ragged.capacity)


def test_with_full_attention_a_token_sees_all_but_padding_and_end_marks() -> None:
    config = RunConfig.of({"encoding": "rope", "format": "reversed", "model": {"layers": 2, "loops": 2}})
    experiment = Experiment.of(config)
    batch = experiment.training_data().batch(0, 8, CPU)
    shape, ids = replace(config.model, attention="full"), batch.placed_by(experiment.encoding())
    torch.manual_seed(0)
    model = Transformer(shape, experiment.vocabulary_size, experiment.encoding()).double()
    whole = model(batch.tokens, ids)
    end, inside = batch.length - 1, torch.arange(batch.tokens.shape[1]) < batch.length[:, None] - 1
    assert len(set(end.tolist())) > 1
    for row, n in enumerate(end.tolist()):
        alone = model(batch.tokens[row : row + 1, :n], tuple(own[..., :n] for own in ids))
        torch.testing.assert_close(whole[row : row + 1, :n], alone)
    changed = torch.where(torch.arange(len(inside[0])) == end[:, None] - 1, 9 - batch.tokens, batch.tokens)
    assert not torch.isclose(model(changed, ids), whole).all(-1)[inside].any()
    # What is left out of the last layer is left out of nothing else.
    picked = torch.tensor([[0, 2]]).expand(8, -1)
    some = model(batch.tokens, ids, queries=5, picked=picked)
    torch.testing.assert_close(some, whole[:, [-5, -3]])
    maps = record_attention(model, replace(batch, ids=ids))
    assert len(maps) == 4
    for own in maps:
        torch.testing.assert_close(own.sum(-1), torch.ones_like(own.sum(-1)))
        assert (own.transpose(2, 3)[(~inside)[:, None].expand(-1, 4, -1)] == 0).all()
        assert own[:, :, 0, 1].min() > 0
    with pytest.raises(ValueError, match=r"attention=full a token sees those after it: what is cached would change"):
        model(batch.tokens, ids, cache=Cache())


@pytest.mark.parametrize("encoding", ["rope@randomized:span=99", "rope@pose:span=99", "bipe"])
def test_loss_of_a_sample_does_not_depend_on_its_batch(encoding: str) -> None:
    experiment = Experiment.of(RunConfig.of({"encoding": encoding, "format": "reversed", "data": {"digits": "1-4"}}))
    model, data = experiment.model().double(), experiment.training_data()
    together = data.batch(0, 8, torch.device("cpu"))
    alone = [data.batch(row, 1, torch.device("cpu")) for row in range(8)]
    assert len({batch.tokens.shape for batch in alone}) > 1
    summed = sum(model.loss(batch) * batch.answer_mask.sum() for batch in alone)
    torch.testing.assert_close(model.loss(together) * together.answer_mask.sum(), summed)


def experiment_with(**values: Any) -> Experiment:
    base = {
        "encoding": "t5",
        "model": {"width": 32, "hidden": 32, "layers": 2},
        "training": {"batch": 16, "steps": 12, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3},
    }
    return Experiment.of(RunConfig.of(base).with_values(values))


def test_without_a_norm_after_them_what_blocks_add_does_not_grow_with_depth() -> None:
    shape = {"layers": 3, "loops": 2}
    normed, plain = (experiment_with(model={**shape, "norm_after": after}).model() for after in (True, False))
    for one, other in zip(normed.blocks, plain.blocks, strict=True):
        for last in ("attention.out", "mlp.down"):
            expected = one.get_submodule(last).weight / math.sqrt(2 * 3 * 2)
            torch.testing.assert_close(other.get_submodule(last).weight, expected)
        assert torch.equal(one.mlp.up.weight, other.mlp.up.weight)


def test_above_prompt_layers_answers_see_answers_alone() -> None:
    experiment = Experiment.of(summed(prompt_layers=1, layers=3, loops=1, loop_input="state", looped=None))
    model, batch = experiment.model().double(), experiment.training_data().batch(0, 8, CPU)
    tokens, ids = batch.tokens[:, :-1], tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    found = model(tokens, ids, queries=batch.queries)
    positions = tuple(Positions(own, own) for own in ids)
    x = model.stack(
        model.encoding.embed(model.embedding(tokens), positions), 0, None, None, positions, positions, None, range(1)
    )
    above = tuple(own.last(batch.queries, batch.queries) for own in positions)
    x = model.stack(x[:, -batch.queries :], 0, batch.queries, None, above, above, None, range(1, 3))
    torch.testing.assert_close(found, model.head(model.norm(x)))
    whole = Experiment.of(summed(layers=3, loops=1, loop_input="state", looped=None)).model().double()
    whole.load_state_dict(model.state_dict())
    assert not torch.allclose(whole(tokens, ids, queries=batch.queries), found)
    with pytest.raises(ValueError, match="which tokens predict the answer"):
        model(tokens, ids)


@pytest.mark.parametrize(
    "model", [{"prompt_layers": 1}, {"prompt_layers": 2}, {"prompt_layers": 2, "layers": 4}], ids=str
)
@pytest.mark.parametrize("encoding", ["sliding-lookup", "sliding-lanes", "rope", "learned"])
def test_decoding_above_prompt_layers_is_what_is_judged(encoding: str, model: dict[str, Any]) -> None:
    experiment = Experiment.of(summed(**model).with_values({"encoding": encoding}))
    built, batch = experiment.model().eval(), experiment.training_data().batch(0, 16, CPU)
    cut = batch.shortest_prompt
    prompt = replace(batch.prompt, tokens=batch.tokens[:, :cut])
    written = built.answer(prompt, batch.key, 2 * DIGITS + 1, batch.capacity)
    # Judged on what it wrote itself, every token is the likeliest one.
    own = replace(batch, samples=batch.samples._replace(tokens=torch.cat([prompt.tokens, written], 1).to(torch.uint8)))
    logits = built(own.tokens[:, :-1], tuple(i[:, :, :-1] for i in own.placed_by(built.encoding)), queries=own.queries)
    ends = (written == vocabulary.token(vocabulary.END)).long()
    kept = ends.cumsum(1) - ends == 0
    assert (logits.argmax(-1) == written)[kept].all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"prompt_layers": 3}}, "1 to 2 of 3 layers. Got 3"),
        ({"model": {"prompt_layers": 1, "looped": 2}}, "2 to 2 of 3 layers. Got 1"),
        ({"model": {"prompt_layers": 1}, "format": "padded-all-reversed"}, "all prompts are of one length"),
        (
            {"model": {"prompt_layers": 1}, "evaluation": {"format": "padded-all-reversed"}},
            "all prompts are of one length",
        ),
        ({"model": {"prompt_layers": 1}, "training": {"loss": "line"}}, "training.loss at answer"),
        ({"model": {"prompt_layers": 1}, "data": {"mix": ["50% addition"]}}, "one task is learned"),
    ],
)
def test_prompts_that_would_reach_further_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Experiment.of(RunConfig.of(SUMMED).with_values(values))


def test_more_of_some_lengths_leaves_prompts_as_long_as_they_are() -> None:
    values = {"model": {"prompt_layers": 1}, "data": {"mix": ["50% multiplication 2"]}}
    experiment = Experiment.of(RunConfig.of(SUMMED).with_values(values))
    assert len(set(experiment.training_data().batch(0, 64, CPU).samples.prompt_length.tolist())) == 1
