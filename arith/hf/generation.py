"""Replies of a local causal model of Hugging Face: greedy decoding of batches with a cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

import arith.hf.model  # noqa: F401  registers arith's own
from arith.data.tokenized import special_tokens
from arith.errors import UsageError
from arith.evaluation.text.reply import Reply
from arith.experiment.hf_folder import load_causal_model, load_tokenizer


@dataclass(frozen=True)
class TextModel:
    """A model with its tokenizer."""

    model: Any
    tokenizer: Any

    @staticmethod
    def load(folder: Path, device: torch.device) -> "TextModel":
        """Load a folder that `save_pretrained` wrote.

        Args:
            folder: the local folder.
            device: where the model computes.

        Raises:
            UsageError: the folder holds no causal model, or no tokenizer.
        """
        if not (folder / "config.json").is_file():
            raise UsageError(
                f"{folder} holds no model of Hugging Face (no config.json). Name a local folder, as save_pretrained or "
                "arith export writes it; nothing is downloaded"
            )
        # On a GPU in the precision that the checkpoint was saved in. CPUs are slow in half precision.
        dtype = "auto" if device.type == "cuda" else torch.float32
        tokenizer = load_tokenizer(folder, padding_side="left")
        model = load_causal_model(folder, dtype=dtype)
        # Any token can pad, as it is masked; many decoders, such as GPT-2, come without one.
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if tokenizer.pad_token_id is None:
            raise UsageError(f"the tokenizer in {folder} has no token to pad with: set its pad_token")
        # Greedy means argmax at every token: penalties, forced tokens, beams or stop texts that the folder's own
        # settings bring would change that, silently. The ends of a text alone are taken from them.
        model.generation_config = GenerationConfig(
            eos_token_id=_end_tokens(model, tokenizer) or None, pad_token_id=tokenizer.pad_token_id, do_sample=False
        )
        return TextModel(model.to(device).eval(), tokenizer)

    @torch.no_grad()
    def replies(self, prompts: Sequence[str], new_tokens: int, at_once: int) -> list[Reply]:
        """The model's continuation of each prompt, up to the first line break.

        Args:
            prompts: the texts to continue.
            new_tokens: most tokens of a reply.
            at_once: prompts in a batch.

        Raises:
            UsageError: prompt and reply need more positions than the model has.
        """
        # Prompts of like length share a batch, for little padding; replies go back to the prompts' own order.
        order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        replies = [Reply("")] * len(prompts)
        for start in range(0, len(order), at_once):
            rows = order[start : start + at_once]
            inputs = self._inputs([prompts[row] for row in rows])
            length = inputs["input_ids"].shape[1]
            self._check(length + new_tokens)
            tokens = self.model.generate(
                **inputs,
                max_new_tokens=new_tokens,
            )
            texts = self.tokenizer.batch_decode(tokens[:, length:], skip_special_tokens=True)
            for row, text in zip(rows, texts, strict=True):
                replies[row] = Reply(_first_line(text))
        return replies

    def _inputs(self, prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Prompts as in training: behind the special tokens that the tokenizer puts first, and none of those last."""
        before, _ = special_tokens(self.tokenizer)
        rows = [before + row for row in self.tokenizer(list(prompts), add_special_tokens=False)["input_ids"]]
        padded = self.tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        return {name: padded[name].to(self.model.device) for name in ("input_ids", "attention_mask")}

    def _check(self, tokens: int) -> None:
        most = getattr(self.model.config, "max_position_embeddings", None)
        if most is not None and tokens > most:
            raise UsageError(
                f"prompt and reply take up to {tokens} tokens, and the model has {most} positions. Test shorter "
                "operands, or give fewer --shots"
            )


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a text, from wherever the folder names them; those of words or digits would cut replies."""
    own = model.generation_config.eos_token_id
    named = [*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id]
    special = set(tokenizer.all_special_ids)
    return sorted({token for token in named if token in special})


def _first_line(text: str) -> str:
    """The first line that is not empty: some models begin with a line break."""
    return text.lstrip().partition("\n")[0]
