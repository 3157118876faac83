"""Replies of a local model of Hugging Face."""

from pathlib import Path

import torch

from arith.catalogue.named import format_named, task_named
from arith.data.tokenized import texts
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
