"""Replies of a local causal model: batches padded on the left, greedy, with a cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import arith.hf.model  # noqa: F401  registers arith's own
from arith.errors import UsageError


@dataclass(frozen=True)
class TextModel:
    """A model with its tokenizer."""

    model: Any
    tokenizer: Any

    @staticmethod
    def load(folder: Path, device: torch.device) -> "TextModel":
        """From a folder that `save_pretrained` wrote.

        Raises:
            UsageError: it holds no causal model, or no tokenizer.
        """
        if not (folder / "config.json").is_file():
            raise UsageError(
                f"{folder} holds no model of Hugging Face (no config.json). Name a local folder, as save_pretrained or "
                "arith export writes it; nothing is downloaded"
            )
        # What a GPU computes in, the checkpoint says; CPUs are slow in half precision.
        dtype = "auto" if device.type == "cuda" else torch.float32
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
            model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{folder} cannot be loaded as a causal model with tokenizer: {error}") from error
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if tokenizer.pad_token_id is None:
            raise UsageError(f"the tokenizer in {folder} has no token to pad with: set its pad_token")
        model.generation_config.max_length = None  # each call says how many new tokens it wants
        return TextModel(model.to(device).eval(), tokenizer)

    @torch.no_grad()
    def replies(
        self,
        prompts: Sequence[str],
        new_tokens: int,
        at_once: int,
    ) -> list[str]:
        """What the model goes on with, up to the first line break.

        Args:
            new_tokens: after which it is stopped.
            at_once: prompts in a batch; those of like length together.

        Raises:
            UsageError: prompt and reply are longer than the model's positions.
        """
        order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        found = [""] * len(prompts)
        for start in range(0, len(order), at_once):
            rows = order[start : start + at_once]
            # Tokenizers add what their models expect first; some give type ids too, which decoders have no use for.
            given = self.tokenizer([prompts[row] for row in rows], return_tensors="pt", padding=True)
            given = {name: given[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
            length = given["input_ids"].shape[1]
            self._check(length + new_tokens)
            written = self.model.generate(
                **given,
                max_new_tokens=new_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=self.tokenizer.pad_token_id,
            )
            texts = self.tokenizer.batch_decode(written[:, length:], skip_special_tokens=True)
            for row, text in zip(rows, texts, strict=True):
                found[row] = _first_line(text)
        return found

    def _check(self, tokens: int) -> None:
        most = getattr(self.model.config, "max_position_embeddings", None)
        if most is not None and tokens > most:
            raise UsageError(
                f"prompt and reply take up to {tokens} tokens, and the model has {most} positions. Test shorter "
                "operands, or give fewer --shots"
            )


def _first_line(text: str) -> str:
    """Up to the first line break after something was written."""
    return text.lstrip().partition("\n")[0]
