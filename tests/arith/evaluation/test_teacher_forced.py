"""Exact match in one pass: that of decoding, however problems are batched."""

import dataclasses
from pathlib import Path

import pytest
import torch

from arith.config.schema import RunConfig
from arith.evaluation import teacher_forced as judging
from arith.evaluation.teacher_forced import exact_matches, judge_batch, judge_dataset
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.tasks import vocabulary
from arith.training.loop import train

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        ("coupled", "padded-reversed"),
        ("coupled", "padded"),
        ("learned+t5@abacus", "padded-reversed"),
        ("learned+t5@abacus", "padded"),
        # Ids of these depend on how long a sample may grow, which must not be how long the batch is.
        ("learned@randomized:span=24+coupled", "reversed"),
        ("learned@randomized:span=24,tested=even+coupled", "reversed"),
    ],
)
def test_one_pass_equals_cached_greedy_decoding(tmp_path: Path, encoding: str, form: str) -> None:
    config = RunConfig.of(
        {
            "encoding": encoding,
            "format": form,
            "data": {"digits": "1-2"},
            "training": {"steps": 250, "batch": 64, "evaluate_every": 250},
            "evaluation": {"digits": "2"},
        }
    )
    experiment = Experiment.of(config)
    model = train(Run.begin(tmp_path / "run", config), experiment)
    right = []
    for digits in (1, 2):
        data = experiment.test_data("random", digits)
        batch = data.batch(0, 300, CPU)
        cut = batch.shortest_prompt
        prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, :cut])
        decoded = model.answer(prompt, batch.key, batch.tokens.shape[1] - cut, batch.capacity)
        padded = torch.full_like(batch.tokens[:, cut:], vocabulary.token(vocabulary.PAD))
        padded[:, : decoded.shape[1]] = decoded
        in_one_pass = judge_batch(model, batch).right
        assert torch.equal(in_one_pass, (padded == batch.tokens[:, cut:]).all(1))
        alone = torch.cat([judge_batch(model, data.batch(row, 1, CPU)).right for row in range(60)])
        assert torch.equal(in_one_pass[:60], alone)
        right.append(in_one_pass)
    share = float(torch.cat(right).float().mean())
    assert 0.02 < share < 0.98, "half-trained, or the test proves nothing"


def test_chunks_do_not_change_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment.of(RunConfig.of({"training": {"steps": 1}}))
    model = experiment.model()
    data = experiment.test_data("unequal", 4)
    whole = exact_matches(model, data, 50)
    monkeypatch.setitem(judging.SCORE_BYTES, "cpu", 1)
    assert torch.equal(exact_matches(model, data, 50), whole)


def untrained(**values: object) -> Experiment:
    return Experiment.of(RunConfig.of({"evaluation": {"digits": "4"}, **values}))


def test_batches_pay_next_to_no_padding_and_change_nothing() -> None:
    experiment = untrained(format="plain", encoding="learned@randomized:span=64+t5")
    model, data = experiment.model().eval(), experiment.test_data("nines", 4)
    whole = judge_dataset(model, data, 200)
    paid = asked = 0
    for rows, batch in data.batches(200, lambda tokens: 9, CPU):
        assert len(rows) <= 9
        paid, asked = paid + batch.tokens.numel(), asked + int(batch.length.sum())
        with torch.no_grad():
            own = judge_batch(model, batch)
        assert torch.equal(own.first_wrong, whole.first_wrong[torch.from_numpy(rows)])
        assert torch.allclose(own.margin, whole.margin[torch.from_numpy(rows)], atol=1e-4)
    assert paid <= 1.0625 * asked
    assert len(set(whole.first_wrong.tolist())) > 1
    fixed = untrained().test_data("nines", 4)
    assert all(bool((batch.length == batch.tokens.shape[1]).all()) for _, batch in fixed.batches(99, lambda t: 50, CPU))


def test_a_margin_is_that_of_the_two_best_tokens() -> None:
    experiment = untrained()
    model, data = experiment.model().eval(), experiment.test_data("random", 3)
    batch = data.batch(0, 20, CPU)
    with torch.no_grad():
        own = judge_batch(model, batch)
        ids = model.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
        best = model(batch.tokens, ids).topk(2, -1).values
    for row in range(20):
        start = int(batch.prompt.length[row])
        stop = start + int(own.first_wrong[row]) if own.first_wrong[row] else int(batch.length[row])
        margins = best[row, start - 1 : stop - 1, 0] - best[row, start - 1 : stop - 1, 1]
        assert float(own.margin[row]) == pytest.approx(float(margins.min()), abs=1e-5)
