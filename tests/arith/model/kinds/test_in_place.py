"""Values read in their places of a whole line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.evaluation.teacher_forced import judge_batch
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.hf.exporting import export_model
from arith.model.kinds.in_place import InPlace, LoopedInPlace, is_value, names
from arith.tasks import vocabulary
from arith.training.loop import train
from tests.arith.model.kinds.test_looped import CPU

LEGO: dict[str, Any] = {
    "task": "lego:clauses=4,asked=each",
    "format": "plain",
    "encoding": "relative@symbols+relative",
    "data": {"digits": "1-3"},
    "model": {"width": 32, "hidden": 32, "attention": "full"},
    "training": {"steps": 4, "batch": 16, "checkpoint_every": 2, "evaluate_every": 2},
    "evaluation": {"digits": [2, 4], "samples": 20},
}


def built(seed: int = 0) -> tuple[Experiment, InPlace]:
    experiment = Experiment.of(RunConfig.of(LEGO).with_values({"model": {"seed": seed}}))
    model = experiment.model()
    assert isinstance(model, InPlace)
    for parameter in model.encoding.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return experiment, model.eval()


def test_no_value_of_the_line_is_seen() -> None:
    experiment, model = built()
    batch = experiment.test_data("random", 3).batch(0, 8, CPU)
    tokens = batch.tokens[:, :-1]
    ids = tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    others = torch.where(is_value(tokens), 1 - tokens, tokens)
    assert int((others != tokens).sum()) == 8 * 4
    torch.testing.assert_close(model(others, ids), model(tokens, ids), rtol=0, atol=0)


TOLD: dict[str, Any] = {"trace": {"kind": "values"}, "model": {"layers": 2}}


def told() -> tuple[Experiment, LoopedInPlace]:
    experiment = Experiment.of(RunConfig.of(LEGO).with_values(TOLD))
    model = experiment.model()
    assert isinstance(model, LoopedInPlace)
    return experiment, model.eval()


def test_a_model_that_follows_the_trace_is_right_at_any_length() -> None:
    experiment, model = told()
    batch = experiment.test_data("random", 4).batch(0, 20, CPU)
    loops = []

    def exact(tokens: Tensor, state: Tensor, ids: object, loop: Tensor, queries: int) -> Tensor:
        loops.append(int(loop))
        found = torch.zeros_like(state)
        for row, line in enumerate(tokens):
            at = {int(line[place]): place for place in names(line[None])[0].nonzero()[:, 0].tolist()}
            for place in at.values():
                before = at.get(int(line[place + 3]))
                known = 1 if before is None else int(state[row, before, 0])
                found[row, place, 0] = 1 + (known - 1 + int(line[place + 4])) % 2 if known else 0
        return torch.nn.functional.one_hot(found, 3).float()[:, -queries:]

    model.revise = exact  # type: ignore[method-assign]
    assert judge_batch(model, batch).right.all()
    assert loops == [0, 1, 2, 3]


def test_states_that_are_learned_are_those_of_the_values_asked_for() -> None:
    experiment, model = told()
    batch = experiment.training_data().batch(0, 30, CPU)
    assert batch.loops is not None
    learned = model.learned(batch)
    assert torch.equal(learned.sum(1), batch.answer_mask.sum(1) - 1)  # but the end mark
    assert not batch.loops.after[~learned].any()
    assert batch.loops.after[learned].any()
    model.loss(batch).backward()
    assert model.state.weight.grad is not None
    assert model.state.weight.grad.any(1).all()


def test_no_value_of_the_line_is_seen_by_a_model_that_is_told() -> None:
    experiment, model = told()
    batch = experiment.test_data("random", 3).batch(0, 8, CPU)
    tokens = batch.tokens[:, :-1]
    ids = tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    others = torch.where(is_value(tokens), 1 - tokens, tokens)
    torch.testing.assert_close(model(others, ids), model(tokens, ids), rtol=0, atol=0)


def test_values_that_are_not_read_in_place_have_no_trace() -> None:
    with pytest.raises(UsageError, match="lego is traced as values, with asked=each: got 'values' and asked=one"):
        Experiment.of(RunConfig.of(LEGO).with_values({**TOLD, "task": "lego:clauses=4"}))


def test_a_step_has_the_loops_that_it_draws() -> None:
    drawn, fixed = (RunConfig.of(LEGO).with_values({"model": {"loops": loops}}) for loops in ("2-3", 2))
    experiment = Experiment.of(drawn)
    model, other = experiment.model(), Experiment.of(fixed).model()
    other.load_state_dict(model.state_dict())
    batch = experiment.training_data().batch(0, 8, CPU)
    assert torch.equal(model.loss(replace(batch, drawn_loops=2)), other.loss(batch))
    assert not torch.equal(model.loss(batch), other.loss(batch))


def test_a_value_depends_on_clauses_before_and_behind_it() -> None:
    experiment, model = built()
    batch = experiment.test_data("random", 3).batch(0, 1, CPU)
    tokens = batch.tokens[:, :-1]
    ids = tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    name = 6  # of the second clause
    told = model(tokens, ids)[0, name]
    for element in (5, 20):  # of the first clause and of the last
        other = tokens.clone()
        other[0, element] = 1 - tokens[0, element]
        assert not torch.allclose(model(other, ids)[0, name], told)


def test_what_is_no_value_is_certain() -> None:
    experiment, model = built()
    batch = experiment.validation_data().batch(0, 6, CPU)
    targets, learned = batch.wanted
    tokens = batch.tokens[:, :-1]
    ids = tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    whole = model(tokens, ids, queries=batch.queries)
    ends = targets == vocabulary.token(vocabulary.END)
    assert bool((whole.argmax(-1)[ends] == targets[ends]).all())
    values = learned & ~ends
    assert bool(values.any())
    assert bool((whole[values][:, :2].abs() < 100).all())
    assert bool((whole[values][:, 2:] < -1000).all())  # a value is one of the group
    picked = torch.arange(3).expand(6, -1)
    torch.testing.assert_close(model(tokens, ids, queries=batch.queries, picked=picked), whole[:, :3])


def test_only_what_is_asked_for_is_judged() -> None:
    experiment, model = built()
    data = experiment.test_data("random", 2)
    batch = data.batch(0, 64, CPU)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.weight[0] = 1  # the sign of a sum decides between 0 and all others: both are given
    right = judge_batch(model, batch).right
    assert 0.2 < float(right.float().mean()) < 0.8


def test_it_trains_and_is_tested(tmp_path: Path) -> None:
    experiment, _ = built()
    run = Run.begin(tmp_path / "run", experiment.config)
    model = train(run, experiment)
    with pytest.raises(UsageError, match="continues no prompt"):
        model.answer(experiment.validation_data().batch(0, 1, CPU).prompt, torch.tensor([0]), 3, 40)
    with pytest.raises(UsageError, match="continues no prompt"):
        export_model(run, tmp_path / "out", "lego")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"model": {"attention": "causal"}}, "set model.attention to full"),
        ({"data": {"mix": ["50% parity 1-3"]}}, "in all tasks of training and tests or in none"),
        ({"evaluation": {"task": "parity"}}, "in all tasks of training and tests or in none"),
        ({"training": {"loss": "line"}}, "training.loss is answer"),
        ({"task": "lego:clauses=4"}, "such as lego:asked=each"),
    ],
)
def test_what_cannot_be_read_in_place_is_refused(values: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Experiment.of(RunConfig.of(LEGO).with_values(values))
