"""Models that revise their answer loop by loop.

Long, as one set of traces serves training, decoding and refusals.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from torch import Tensor

from arith.config.schema import RunConfig
from arith.data.batch import Batch
from arith.data.evaluation_sets import find_suite
from arith.errors import UsageError
from arith.evaluation.teacher_forced import judge_batch
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.kernels import reference, windowed
from arith.model.kinds.looped import Looped, columns, factor_digits
from arith.tasks import vocabulary
from arith.tasks.schoolbook import KINDS
from arith.training.distributed import World
from arith.training.loop import train

CPU = torch.device("cpu")
THIN = "padded-reversed:pad=answer,first=longest"
LOOPED = {
    "task": "multiplication",
    "format": "padded-reversed",
    "encoding": "sliding-window",
    "data": {"digits": "1-3"},
    "model": {"width": 32, "hidden": 32},
    "trace": {"kind": "carry-save"},
    "training": {"steps": 12, "batch": 16, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3},
    "evaluation": {"digits": [2, 12], "samples": 20},
}


def looped(**changes: object) -> RunConfig:
    return RunConfig.of(LOOPED).with_values(changes)


def built(config: RunConfig) -> Looped:
    model = Experiment.of(config).model()
    assert isinstance(model, Looped)
    for parameter in model.encoding.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # tables that start at zero would make tests pass for nothing
    return model.eval()


def logits(model: Looped, batch: Batch, tokens: Tensor) -> Tensor:
    ids = model.encoding.full(batch.prompt, tokens, batch.key, batch.capacity)
    found: Tensor = model(tokens, ids, queries=batch.queries)
    return found


@pytest.mark.parametrize("form", ["padded-reversed", "padded-all-reversed:width=12"])
def test_prompts_tell_columns_and_loops(form: str) -> None:
    batch = Experiment.of(looped(format=form)).training_data().batch(0, 50, CPU)
    assert batch.prompt.answer_width is not None
    assert torch.equal(columns(batch.tokens).sum(1), batch.prompt.answer_width)
    assert torch.equal(factor_digits(batch.tokens), batch.prompt.answer_width // 2)


def test_loops_are_as_many_as_the_shorter_factor_has_digits() -> None:
    experiment = Experiment.of(looped(format=THIN))
    batch = experiment.training_data().batch(0, 200, CPU)
    operands = experiment.training_data().problems.sources[0].operands(0, 200)
    shorter = np.stack([own.lengths for own in operands]).min(axis=0)
    assert factor_digits(batch.tokens).tolist() == shorter.tolist()
    assert batch.prompt.answer_width is not None
    assert torch.equal(columns(batch.tokens).sum(1), batch.prompt.answer_width)


def test_the_supervised_loop_is_of_the_factors_as_they_are_written() -> None:
    config = looped(format=THIN, trace={"kind": "carry-save", "random": 0.0})
    batch = Experiment.of(config).training_data().batch(0, 300, CPU)
    assert batch.loops is not None
    for row in range(300):
        text = vocabulary.decode(batch.tokens[row].numpy())
        a, b = text.partition("=")[0].split("*")
        assert len(a) >= len(b)
        done = int(batch.loops.loop[row]) + 1
        digit, carry = batch.loops.after[row, columns(batch.tokens[row][None])[0]].long().T
        # A carry waits in its column, and counts in the next one.
        value = sum((int(d) + 10 * int(c)) * 10**k for k, (d, c) in enumerate(zip(digit, carry, strict=True)))
        assert value == int(a) * (int(b) % 10**done)


def test_factors_of_one_length_are_written_as_in_the_padded_format() -> None:
    thin, padded = (
        Experiment.of(looped(format=form)).test_data("random", 5).batch(0, 50, CPU)
        for form in (THIN, "padded-reversed")
    )
    assert torch.equal(thin.tokens, padded.tokens)
    model = built(looped())
    assert torch.equal(logits(model, thin, thin.tokens), logits(model, padded, padded.tokens))


def test_a_thin_product_is_revised_inside_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = built(looped())
    batch = Experiment.of(looped(format=THIN)).test_data("thin", 200).batch(0, 3, CPU)
    ids = model.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
    state = torch.randint(10, (*batch.tokens.shape, 2), generator=torch.Generator().manual_seed(0))
    attend, pairs = reference.attention, []

    def counted(q: Tensor, k: Tensor, *others: Any) -> Tensor:
        pairs.append(len(q) * q.shape[2] * k.shape[2])
        return attend(q, k, *others)

    def revised() -> Tensor:
        return model.revise(batch.tokens, state, ids, torch.tensor([[1]]), batch.queries)

    monkeypatch.setattr(reference, "attention", counted)
    near = revised()
    # Some 200 queries and 400 keys a problem, of which a query sees ten.
    assert sum(pairs) < 3 * 200 * 400 / 4
    monkeypatch.setattr(windowed, "SHORTEST", 10**9)
    torch.testing.assert_close(revised(), near, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("digits", [12, 300])
def test_a_thin_product_takes_few_loops(digits: int) -> None:
    config = looped(format=THIN)
    model, data = built(config), Experiment.of(config).test_data("thin", digits)
    operands, batch = data.format.arrange(data.problems.sources[0].operands(0, 20)), data.batch(0, 20, CPU)
    widths, done, loops = batch.prompt.answer_width, operands[1].lengths, []
    assert widths is not None
    inside = columns(batch.tokens)[:, :-1]  # the end mark of the longest line is not read

    def exact(tokens: Tensor, state: Tensor, ids: object, loop: Tensor, queries: int) -> Tensor:
        loops.append(int(loop))
        before = np.zeros((20, int(widths.max()), 2), np.uint8)
        after = torch.zeros_like(state)
        for row in range(20):
            before[row, : widths[row]] = state[row, inside[row]].numpy()
        stepped = KINDS["carry-save"].advance(before, operands, done, np.full(20, int(loop)))
        for row in range(20):
            after[row, inside[row]] = torch.from_numpy(stepped[row, : widths[row]]).long()
        return torch.nn.functional.one_hot(after, 10).float()[:, -queries:]

    model.revise = exact  # type: ignore[method-assign]
    assert judge_batch(model, batch).right.all()
    assert 2 <= len(loops) <= 12, "two digits, and carries that seldom run far"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suite", ["random", "unequal", "nines", "sparse"])
def test_a_model_that_follows_the_trace_is_right_at_any_length(kind: str, suite: str) -> None:
    """The loops around the model: an exact one in its place is exact, and 12 digits take what the trace takes."""
    config = looped(trace={"kind": kind})
    model, name = built(config), find_suite(suite)
    data = Experiment.of(config).test_data(name, 12)
    operands, batch = data.problems.sources[0].operands(0, 20), data.batch(0, 20, CPU)
    start, digits, loops = int(batch.prompt.length[0]), np.full(20, 12), []

    def exact(tokens: Tensor, state: Tensor, ids: object, loop: Tensor, queries: int) -> Tensor:
        loops.append(int(loop))
        before = state[:, start : start + 24].numpy().astype(np.uint8)
        found = torch.zeros_like(state)
        after = KINDS[kind].advance(before, operands, digits, np.full(20, int(loop)))
        found[:, start : start + 24] = torch.from_numpy(after)
        return torch.nn.functional.one_hot(found, 10).float()[:, -queries:]

    model.revise = exact  # type: ignore[method-assign]
    assert judge_batch(model, batch).right.all()
    assert loops == list(range(len(loops)))
    assert len(loops) >= 12


@pytest.mark.parametrize("attention", ["causal", "full"])
def test_the_right_answer_tells_nothing(attention: str) -> None:
    config = looped(model={"attention": attention})
    model, batch = built(config), Experiment.of(config).training_data().batch(0, 40, CPU)
    before = logits(model, batch, batch.tokens)
    inside = columns(batch.tokens)
    for other in range(1, 10):
        changed = torch.where(inside, (batch.tokens + other) % 10, batch.tokens)
        assert torch.equal(logits(model, batch, changed), before)
    prompt = torch.arange(batch.tokens.shape[1]) < batch.prompt.length[:, None]
    other_problem = torch.where(prompt & (batch.tokens < 10), (batch.tokens + 1) % 10, batch.tokens)
    assert not torch.allclose(logits(model, batch, other_problem), before)


@pytest.mark.parametrize("attention", ["causal", "full"])
def test_answers_are_those_that_are_judged(attention: str) -> None:
    config = looped(model={"attention": attention})
    model, data = built(config), Experiment.of(config).test_data("random", 4)
    batch = data.batch(0, 30, CPU)
    cut = int(batch.prompt.length[0])
    prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, :cut])
    answered = model.answer(prompt, batch.key, 99, batch.capacity)
    assert answered.shape == (30, 9)
    assert (answered[:, -1] == vocabulary.token("$")).all()
    given = torch.cat([batch.tokens[:, :cut], answered], dim=1)
    samples = batch.samples._replace(tokens=given.to(torch.uint8))
    assert judge_batch(model, dataclasses.replace(batch, samples=samples)).right.all()
    judged = judge_batch(model, batch)
    assert torch.equal(judged.right, (answered == batch.tokens[:, cut:]).all(1))
    first = (answered != batch.tokens[:, cut:]).int().argmax(1) + 1
    assert torch.equal(judged.first_wrong, first.where(~judged.right, 0))


@pytest.mark.parametrize("attention", ["causal", "full"])
def test_a_sample_is_answered_alike_in_every_batch_and_wherever_ids_begin(attention: str) -> None:
    config = looped(model={"attention": attention})
    model, data = built(config), Experiment.of(config).training_data()
    together = data.batch(0, 20, CPU)
    right = judge_batch(model, together)
    moved = judge_batch(model, together, moved=7)
    assert torch.equal(moved.first_wrong, right.first_wrong)
    torch.testing.assert_close(moved.margin, right.margin)
    for row in range(20):
        alone = judge_batch(model, data.batch(row, 1, CPU))
        assert alone.first_wrong == right.first_wrong[row]
        torch.testing.assert_close(alone.margin[0], right.margin[row], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("attention", ["causal", "full"])
def test_columns_see_the_digits_of_their_loop(attention: str) -> None:
    """In loop t what column k says depends on a[k-t-1] .. a[k-t+1], b[t-1] .. b[t+1] and no other digit."""
    config = looped(format="padded-all-reversed", model={"attention": attention})
    model, data = built(config), Experiment.of(config).test_data("random", 8)
    batch = data.batch(0, 1, CPU)
    ids = model.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
    state = torch.zeros(*batch.tokens.shape, 2, dtype=torch.long)
    t = torch.tensor([[3]])
    before = model.revise(batch.tokens, state, ids, t, 17)
    for digit in range(8):
        for start, name in ((1, "a"), (10, "b")):
            changed = batch.tokens.clone()
            changed[0, start + digit] = (changed[0, start + digit] + 1) % 10
            after = model.revise(changed, state, ids, t, 17)
            differs = [k for k in range(16) if not torch.allclose(after[0, k], before[0, k], atol=1e-6)]
            if name == "a":
                assert differs == [k for k in range(digit + 2, digit + 5) if k < 16]
            else:
                assert differs == (list(range(16)) if abs(digit - 3) <= 1 else [])
    for column in range(16):
        changed_state = state.clone()
        changed_state[0, 19 + column, 1] = 5
        after = model.revise(batch.tokens, changed_state, ids, t, 17)
        differs = [k for k in range(16) if not torch.allclose(after[0, k], before[0, k], atol=1e-6)]
        assert differs == [k for k in range(column - (attention == "full"), column + 2) if 0 <= k < 16]


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tmp_path: Path, halted: Callable[[Run], Run]) -> None:
    config = looped()
    experiment = Experiment.of(config)
    whole = Run.begin(tmp_path / "whole", config)
    expected = train(whole, experiment).state_dict()
    resumed = train(halted(whole), experiment).state_dict()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "addition"}, "one task that has them"),
        ({"data": {"mix": ["50% addition 1-3"]}}, "one task that has them"),
        ({"data": {"samples": 100}}, "one task that has them"),
        ({"model": {"loops": 2}}, "leave model.loops at 1"),
        ({"format": "padded"}, "padded-reversed or padded-all-reversed, got 'padded'"),
        ({"format": "reversed"}, "padded-reversed or padded-all-reversed"),
        ({"format": "padded-reversed+hints"}, "padded-reversed or padded-all-reversed"),
        ({"trace": {"kind": "long"}}, "carry-save or running-sum, got 'long'"),
        ({"trace": {"random": 2.0}}, "trace.random is from 0 to 1, got 2.0"),
        ({"encoding": "coupled-window"}, "those of 'coupled-window' stay"),
    ],
)
def test_what_cannot_be_learned_from_traces_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Experiment.of(looped(**changes))


def test_several_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="by one process: got 2"):
        train(Run.begin(tmp_path / "run", looped()), Experiment.of(looped()), World(size=2))


def test_from_the_command_line(arith: Callable[..., Result], tmp_path: Path) -> None:
    recipe = tmp_path / "looped.toml"
    recipe.write_text(
        'task = "multiplication"\nencoding = "sliding-window"\n[data]\ndigits = "1-2"\n[trace]\nkind = "carry-save"\n'
        "[training]\nsteps = 3\nbatch = 8\n[model]\nwidth = 16\nheads = 2\nhidden = 16\n"
        '[evaluation]\ndigits = [1, 5]\nsamples = 5\nsuites = ["random", "nines"]\n'
    )
    ran = arith("train", "--recipe", str(recipe), "--out", "run")
    assert ran.exit_code == 0, ran.output
    assert '"supervision": "algorithm"' in (tmp_path / "run" / "results.json").read_text()
    asked = arith("ask", "run", "12*345", "7*8")
    assert asked.exit_code in (0, 1), asked.output
    assert "4140" in asked.output  # the right answer stands beside a wrong one
    again = arith("evaluate", "run", "--test-digits", "3", "--failures", "2")
    assert again.exit_code == 0, again.output


@pytest.mark.slow
def test_steps_that_are_learned_hold_for_longer_problems(tmp_path: Path) -> None:
    config = looped(
        model={"width": 128, "heads": 4, "hidden": 256},
        training={"steps": 300, "batch": 256, "evaluate_every": 300, "evaluate_samples": 8},
        data={"digits": (1, 4)},
    )
    model = train(Run.begin(tmp_path / "run", config), Experiment.of(config))
    assert isinstance(model, Looped)
    batch = Experiment.of(looped(data={"digits": (8, 8)})).training_data().batch(0, 50, CPU)
    assert batch.loops is not None
    ids = batch.placed_by(model.encoding)
    with torch.no_grad():
        found = model.revise(batch.tokens, batch.loops.before.long(), ids, batch.loops.loop[:, None], batch.queries)
    inside = columns(batch.tokens)[:, -batch.queries :]
    right = found.argmax(-1) == batch.loops.after[:, -batch.queries :]
    assert right[inside].float().mean() > 0.7  # by chance a tenth; whole products take ten times as many steps
