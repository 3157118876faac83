"""Whether a pretrained model still speaks, before training and after it."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from transformers import AutoModelForCausalLM, AutoTokenizer

from arith.evaluation.text.english import TEXT, _surprise, _windows
from arith.model.kinds.pretrained import Pretrained
from arith.results.schema import Results

OPTIONS = ("--digits", "1", "--format", "plain+groups:size=1", "--test-digits", "1", "--samples", "8", "--batch", "8")


def test_the_text_is_long_and_without_digits() -> None:
    text = TEXT.read_text(encoding="utf-8")
    assert len(text.split()) > 1900
    assert not any(sign.isdigit() for sign in text)
    assert text.isascii()


def test_every_token_but_the_first_is_scored_once(gpt2: Path) -> None:
    model = Pretrained(AutoModelForCausalLM.from_pretrained(gpt2))
    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    nats, count = _surprise(model, tokenizer, "12+345=357, said the ferryman")
    tokens = torch.tensor(tokenizer("12+345=357, said the ferryman")["input_ids"])
    assert len(tokens) < 64  # one window: the loss of transformers is the mean over all but the first
    loss = model.inner(input_ids=tokens[None], labels=tokens[None]).loss.detach()
    assert count == len(tokens) - 1
    assert nats == pytest.approx(float(loss) * count, rel=1e-5)
    for length, longest in ((7, 4), (8, 4), (1, 4), (100, 64), (129, 64)):
        scored: list[int] = []
        for window, last in _windows(torch.arange(length), longest):
            assert len(window) <= longest
            scored += window[len(window) - last :].tolist() if last else []
        assert scored == [*range(1, length)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_real_model_still_speaks_after_some_steps(
    arith: Callable[..., Result], smollm2: Path, tmp_path: Path
) -> None:
    options = ("train", "addition", "--init", f"hf:{smollm2}", *OPTIONS, "--steps", "15", "--out", "run")
    ran = arith(*options)
    assert ran.exit_code == 0, ran.stderr
    print(ran.stdout)
    before, after = Results.load(tmp_path / "run" / "results.json").language
    assert before.tokens == 2238
    assert 5 < before.perplexity_a_token < 60
    assert after.perplexity_a_token < 1.5 * before.perplexity_a_token


def test_results_have_perplexity_before_and_after(arith: Callable[..., Result], gpt2: Path, tmp_path: Path) -> None:
    ran = arith("train", "addition", "--init", f"hf:{gpt2}", *OPTIONS, "--steps", "2", "--out", "run")
    assert ran.exit_code == 0, ran.stderr
    assert "perplexity before" in ran.stdout
    results = Results.load(tmp_path / "run" / "results.json")
    before, after = results.language
    assert (before.wording, after.wording) == ("english before training", "english after training")
    assert before.tokens == after.tokens
    assert before.tokens is not None
    assert before.tokens > 2000
    assert before.nats != after.nats
    assert before.perplexity_a_token == pytest.approx(math.exp(before.nats / before.tokens))
    assert f"{before.perplexity_a_token:.4g}" in ran.stdout
    assert f"{after.perplexity_a_token:.4g}" in ran.stdout
    assert not list((tmp_path / "run" / "figures").glob("*language*"))
    # What was learned at the rate for fresh weights shows.
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert config["training"]["learning_rate"] <= 1e-4
