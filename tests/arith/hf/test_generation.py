"""Replies of a local model of Hugging Face."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from arith.catalogue.named import format_named, task_named
from arith.data.tokenized import texts
from arith.errors import UsageError
from arith.hf import generation
from arith.hf.generation import TextModel
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source


def test_batches_reply_what_single_prompts_do(gpt2: Path) -> None:
    text = TextModel.load(gpt2, torch.device("cpu"))
    problems = Mixture([Source(task_named("addition"), Uniform(1, 6), 0, "test")])
    prompts = [prompt for prompt, _ in texts(problems, format_named("plain"), 0, 24)]
    together = text.replies(prompts, new_tokens=8, at_once=7)
    assert len({len(text.tokenizer(prompt)["input_ids"]) for prompt in prompts}) > 3
    assert len(set(together)) > 3, "or equal replies would tell nothing"
    for prompt, reply in zip(prompts, together, strict=True):
        # One by one, each token anew from all before it: no padding, no cache.
        tokens = text.tokenizer(prompt, return_tensors="pt")["input_ids"]
        begun = tokens.shape[1]
        for _ in range(8):
            with torch.no_grad():
                tokens = torch.cat([tokens, text.model(tokens).logits[:, -1:].argmax(-1)], dim=1)
            if tokens[0, -1] == text.tokenizer.eos_token_id:
                break
        alone = text.tokenizer.decode(tokens[0, begun:], skip_special_tokens=True)
        assert reply.text == alone.lstrip().partition("\n")[0]


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral"])
def test_what_prompts_share_is_read_once(
    family: str, gpt2: Path, tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = TextModel.load(gpt2, torch.device("cpu")).tokenizer
    model = tiny(family, vocab_size=330)
    model.generation_config = GenerationConfig(pad_token_id=0, eos_token_id=0, do_sample=False)
    text = TextModel(model, tokenizer)
    shots = "".join(f"{number}+{number}={2 * number}\n" for number in range(1, 8))
    prompts = [f"{shots}{number}+{7 * number}=" for number in (1, 12, 345, 6, 7890, 12)]
    read: list[int] = []
    model.register_forward_pre_hook(lambda _, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True)
    once = text.replies(prompts, new_tokens=6, at_once=3)
    counted = sum(read)
    monkeypatch.setattr(generation, "SHARED", 10_000)
    read.clear()
    assert text.replies(prompts, new_tokens=6, at_once=3) == once
    # Windows are by distance, among which padding would count.
    assert (counted < sum(read) / 2) == (family != "mistral")
    assert len({reply.text for reply in once}) > 2
    with pytest.raises(UsageError, match=r"and the model has 64 positions.*fewer --shots"):
        text.replies([f"{4 * shots}{number}+1=" for number in (1, 2)], new_tokens=6, at_once=3)


def test_a_completion_stops_at_the_end_of_its_line(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TextModel.load(gpt2, torch.device("cpu"))
    ends = generation._LineEnd(*text._lines, 2)
    for written, stopped in (("46\n", True), ("\n46", False), ("\n\n 4", False), ("\n4\n", True), ("46", False)):
        tokens = torch.tensor([[1, 2, *text.tokenizer(written)["input_ids"]]])
        assert ends(tokens, torch.empty(1, 330)).tolist() == [stopped], written
    # A model that writes line breaks alone from its third token on is asked no further.
    line = text.tokenizer("\n")["input_ids"][0]
    steps: list[int] = []

    def write_line(module: Any, args: Any, out: Any) -> Any:
        steps.append(1)
        if len(steps) > 2:
            out.logits[:, -1, line] = 1e4
        return out

    text.model.register_forward_hook(write_line)
    (reply,) = text.replies(["12+34="], new_tokens=20, at_once=1)
    assert len(steps) == 3
    assert reply.text
