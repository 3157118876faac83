"""Long problems block by block: the answers of one pass, and of decoding token by token."""

import dataclasses
from pathlib import Path

import pytest
import torch

from arith.config.schema import RunConfig
from arith.data.typed import write_typed
from arith.evaluation import blocks as blocks_of
from arith.evaluation.teacher_forced import judge_batch
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.experiment.shipped import find_model
from arith.model.transformer import Transformer

CPU = torch.device("cpu")

# Windows on significance and on tokens, one layer and several, loops, a second scheme beside, answers from the top.
STREAMED = [
    ("coupled-window", "padded-reversed", {}),
    ("coupled-window", "padded", {"layers": 3}),
    ("coupled-window", "padded-all-reversed", {"layers": 2, "loops": 2, "key_heads": 2}),
    ("(t5+window:left=6)@sequential:origin=random", "padded-all-reversed", {"layers": 2}),
    ("(relative:radius=1+window:left=1,right=1)@coupled+alibi", "padded-reversed", {"layers": 2}),
]


@pytest.mark.parametrize(("encoding", "form", "shape"), STREAMED)
def test_blocks_give_the_answer_of_one_pass(
    encoding: str, form: str, shape: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model_values = {"width": 32, "heads": 4, "hidden": 32, **shape}
    values = {"encoding": encoding, "format": form, "model": model_values, "evaluation": {"digits": [150]}}
    experiment = Experiment.of(RunConfig.of(values))
    model, data = experiment.model().eval(), experiment.test_data("random", 150)
    with torch.no_grad():
        for parameter in model.parameters():  # large scores and logits, which differences would show in
            parameter.mul_(2)
    for row in range(3):
        batch = data.batch(row, 1)
        tokens, ids = batch.tokens[:, :-1], tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
        with torch.no_grad():
            logits = model(tokens, ids, queries=batch.queries)
        whole = judge_batch(model, batch)
        monkeypatch.setitem(blocks_of.BLOCK, "cpu", 20)
        blocks = blocks_of.find_blocks(model, ids, batch.queries)
        assert blocks is not None
        assert len(blocks.parts) == -(-batch.queries // 20)
        assert all(len(block) < batch.tokens.shape[1] * 0.8 for _, block in blocks)
        found, lead = blocks_of.predict_in_blocks(model, tokens, ids, blocks, batch.queries)
        best = logits.topk(2).values
        torch.testing.assert_close(lead, best[..., 0] - best[..., 1], rtol=1e-4, atol=1e-4)
        clear = best[..., 0] - best[..., 1] > 1e-3
        assert torch.equal(found[clear], logits.argmax(-1)[clear])
        assert clear.float().mean() > 0.9
        monkeypatch.setattr(blocks_of, "STREAMED", 100)
        streamed = judge_batch(model, batch)
        assert torch.equal(streamed.first_wrong, whole.first_wrong)
        torch.testing.assert_close(streamed.margin, whole.margin, rtol=1e-3, atol=1e-4)
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("encoding", "form", "shape"),
    [
        ("coupled", "padded-reversed", {}),
        ("coupled-window+learned", "padded-reversed", {}),
        ("coupled-window", "padded-reversed", {"mixing": "conv"}),
        ("coupled-window", "padded-reversed", {"sharpen": "log-n"}),
        ("coupled-window", "padded-reversed+spaces:answer=true", {}),
        ("(t5+window:left=100)@sequential", "padded-reversed", {}),
    ],
)
def test_what_sees_everything_is_read_in_one_pass(
    encoding: str, form: str, shape: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"encoding": encoding, "format": form, "model": shape, "evaluation": {"digits": [150]}}
    experiment = Experiment.of(RunConfig.of(values))
    model, batch = experiment.model().eval(), experiment.test_data("random", 150).batch(0, 1)
    monkeypatch.setitem(blocks_of.BLOCK, "cpu", 20)
    ids = tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    assert blocks_of.find_blocks(model, ids, batch.queries) is None


def test_several_long_problems_at_once_are_read_in_one_pass() -> None:
    experiment = Experiment.of(RunConfig.of({"evaluation": {"digits": [150]}}))
    model, batch = experiment.model().eval(), experiment.test_data("random", 150).batch(0, 2)
    ids = tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    assert blocks_of.find_blocks(model, ids, batch.queries) is None


@pytest.fixture(scope="module")
def adder() -> tuple[Transformer, Experiment]:
    run = open_model(find_model(Path("addition")))
    experiment = Experiment.of(run.config.with_values({"evaluation": {"digits": [1000]}}))
    return run.load_model(experiment)[0], experiment


@pytest.mark.parametrize(
    "problem", ["random", "nines", "9" * 300 + "+" + "0" * 299 + "1", "1234" * 75 + "+" + "8765" * 75]
)
def test_an_answer_in_blocks_is_the_decoded_one(
    adder: tuple[Transformer, Experiment], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, experiment = adder
    task, form = experiment.tests.task, experiment.tests.format
    if "+" not in problem:
        problems = experiment.test_data(problem, 300).problems.sources[0].problems(2, 1)  # type: ignore[union-attr]
        problem = "+".join(number.text(0) for number in problems.operands)
    typed = write_typed(problem, task, form, 0, model.encoding)
    batch, new_tokens = typed.batch(CPU), form.longest_answer(task, typed.digits)
    passes: list[int] = []
    monkeypatch.setattr(blocks_of, "GUESSED", 128)
    found = blocks_of.answer_in_blocks(model, batch.prompt, batch.key, new_tokens, batch.capacity, passes.append)
    decoded = model.answer(batch.prompt, batch.key, new_tokens, batch.capacity)
    assert found is not None
    assert found.tolist() == decoded.tolist()
    assert len(passes) < 60, "many tokens a pass"
    assert passes == sorted(set(passes))


def test_an_answer_that_is_cut_off_stops_where_decoding_does(adder: tuple[Transformer, Experiment]) -> None:
    model, experiment = adder
    batch = experiment.test_data("random", 100).batch(3, 1)
    prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, : batch.shortest_prompt])
    found = blocks_of.answer_in_blocks(model, prompt, batch.key, 40, batch.capacity)
    assert found is not None
    assert found.shape == (1, 40)
    assert found.tolist() == model.answer(prompt, batch.key, 40, batch.capacity).tolist()


def test_models_that_see_everything_decode_token_by_token() -> None:
    experiment = Experiment.of(RunConfig.of({"encoding": "coupled", "evaluation": {"digits": [60]}}))
    model, batch = experiment.model().eval(), experiment.test_data("random", 60).batch(0, 1)
    prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, : batch.shortest_prompt])
    assert blocks_of.answer_in_blocks(model, prompt, batch.key, 40, batch.capacity) is None
