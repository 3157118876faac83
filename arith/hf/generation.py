"""Replies of a local causal model of Hugging Face: greedy decoding of batches with a cache.

What all prompts begin with, such as solved problems, is read once, and a completion stops at the end of its first line.
"""

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, StoppingCriteria
from transformers.cache_utils import DynamicLayer

import arith.hf.model  # noqa: F401  registers arith's own
from arith.data.tokenized import special_tokens
from arith.errors import UsageError
from arith.evaluation.text.reply import Reply, first_line
from arith.evaluation.text.wording import Turns
from arith.experiment.hf_folder import load_causal_model, load_tokenizer
from arith.hf.attachment.saving import load as load_attached
from arith.hf.attachment.settings import TEXT as ATTACHED
from arith.hf.inputs import CACHE
from arith.hf.numbers.numerals import text_of

SHARED = 16  # tokens from which on reading them once for all prompts is worth a pass of its own


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
        # On a GPU in the precision that the checkpoint was saved in. CPUs are slow in half precision.
        dtype = "auto" if device.type == "cuda" else torch.float32
        tokenizer = open_tokenizer(folder)
        model = load_causal_model(folder, dtype=dtype)
        if (folder / ATTACHED).is_file():
            load_attached(model, folder)
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
    def replies(self, prompts: Sequence[str | Turns], new_tokens: int, at_once: int) -> list[Reply]:
        """The model's continuation of each text, up to the first line break, or its reply to each conversation, whole.

        Args:
            prompts: the texts to continue, or the turns of conversations, which the tokenizer's template writes.
            new_tokens: most tokens of a reply.
            at_once: prompts in a batch.

        Raises:
            UsageError: prompt and reply need more positions than the model has, or its template cannot write the turns.
        """
        tokens = self._tokenize(prompts)
        self._check(max(map(len, tokens), default=0) + new_tokens)
        shared, cache = self._read_shared(tokens)
        # Prompts of like length share a batch, for little padding; replies go back to the prompts' own order.
        order = sorted(range(len(prompts)), key=lambda row: len(tokens[row]))
        replies = [Reply("")] * len(prompts)
        for start in range(0, len(order), at_once):
            rows = order[start : start + at_once]
            inputs = self._inputs([tokens[row] for row in rows], shared)
            length = inputs["input_ids"].shape[1]
            if cache is not None:
                # Each batch goes on with a copy, as decoding adds to it.
                inputs[CACHE] = copy.deepcopy(cache)
                inputs[CACHE].batch_repeat_interleave(len(rows))
            if all(isinstance(prompts[row], str) for row in rows):
                inputs["stopping_criteria"] = [_LineEnd(*self._lines, length)]
            new = self.model.generate(**inputs, max_new_tokens=new_tokens)[:, length:]
            texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
            ended = torch.isin(new, torch.tensor(self._ends, device=new.device)).any(1).tolist()
            for row, text, whole in zip(rows, texts, ended, strict=True):
                # Base models go on with problems of their own until they are cut off, which says nothing.
                is_text = isinstance(prompts[row], str)
                replies[row] = Reply(first_line(text)) if is_text else Reply(text, truncated=not whole)
        return replies

    @property
    def _ends(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        return ends if isinstance(ends, list) else []

    def _chat(self, turns: Turns) -> str:
        if self.tokenizer.chat_template is None:
            raise UsageError("the tokenizer has no chat template: give --no-chat")
        try:
            written: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # templates are programs of other people, and raise what they like
            raise UsageError(f"the tokenizer's chat template fails: {error}") from error
        return written

    def _tokenize(self, prompts: Sequence[str | Turns]) -> list[list[int]]:
        """Prompts as in training: behind the special tokens that the tokenizer puts first, and none of those last."""
        before, _ = special_tokens(self.tokenizer)
        written = [one if isinstance(one, str) else self._chat(one) for one in prompts]
        tokens = self.tokenizer(written, add_special_tokens=False)["input_ids"]
        # A chat template writes its special tokens itself.
        return [before + row if isinstance(one, str) else row for row, one in zip(tokens, prompts, strict=True)]

    def _read_shared(self, tokens: Sequence[list[int]]) -> tuple[int, DynamicCache | None]:
        """How many tokens all prompts begin with, and the cache that holds them; 0 and None if that is not worth it."""
        if len(tokens) < 2:
            return 0, None
        first, last = min(tokens), max(tokens)  # what these two share, all between them do
        most = min(map(len, tokens)) - 1  # a token is left to each prompt
        shared = next((place for place in range(most) if first[place] != last[place]), most)
        # Keys of padding stand between what is shared and the rest. Where masks are by distance, they would count.
        if shared < SHARED or not self.model._supports_default_dynamic_cache():
            return 0, None
        cache = DynamicCache(config=self.model.config)
        if any(type(layer) is not DynamicLayer for layer in cache.layers):
            return 0, None
        prefix = torch.tensor([first[:shared]], device=self.model.device)
        self.model(input_ids=prefix, use_cache=True, **{CACHE: cache})
        return shared, cache

    def _inputs(self, tokens: Sequence[Sequence[int]], shared: int) -> dict[str, Any]:
        """Prompts, with padding between the `shared` tokens with which all of them begin and the rest."""
        padded = self.tokenizer.pad({"input_ids": [row[shared:] for row in tokens]}, return_tensors="pt")
        begun = torch.tensor([row[:shared] for row in tokens], dtype=torch.long).reshape(len(tokens), shared)
        inputs = {
            "input_ids": torch.cat([begun, padded["input_ids"]], 1),
            "attention_mask": torch.cat([torch.ones_like(begun), padded["attention_mask"]], 1),
        }
        return {name: own.to(self.model.device) for name, own in inputs.items()}

    @functools.cached_property
    def _lines(self) -> tuple[Bool[Tensor, " v"], Bool[Tensor, " v"], Bool[Tensor, " v"]]:
        """Which entries of the vocabulary hold text, a line break, and a line break behind text."""
        pieces = [text_of(piece) for piece in self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))]
        # Vocabularies of other models may be padded; our configuration, which is a run's, names no size.
        size = getattr(self.model.config.get_text_config(), "vocab_size", len(pieces))
        pieces += [""] * (size - len(pieces))
        tables = ([bool(text.strip()), "\n" in text, "\n" in text.lstrip()] for text in pieces)
        text, breaks, ends = torch.tensor(list(tables)).T.to(self.model.device)
        return text, breaks, ends

    def _check(self, tokens: int) -> None:
        most = getattr(self.model.config, "max_position_embeddings", None)
        if most is not None and tokens > most:
            raise UsageError(
                f"prompt and reply take up to {tokens} tokens, and the model has {most} positions. Test shorter "
                "operands, or give fewer --shots"
            )


class _LineEnd(StoppingCriteria):
    """Stops a row at the end of its first line that is not empty, see `arith.evaluation.text.reply.first_line`.

    Args:
        text: which entries of the vocabulary hold text.
        breaks: which hold a line break.
        ends: which hold a line break behind text.
        length: tokens of the prompts.
    """

    def __init__(
        self, text: Bool[Tensor, " v"], breaks: Bool[Tensor, " v"], ends: Bool[Tensor, " v"], length: int
    ) -> None:
        self.text, self.breaks, self.ends, self.length = text, breaks, ends, length

    def __call__(self, input_ids: Int[Tensor, "b n"], scores: Any, **kwargs: Any) -> Bool[Tensor, " b"]:
        new = input_ids[:, self.length :]
        said = self.text[new].cumsum(1) > 0
        begun = said[:, :-1] & self.breaks[new[:, 1:]]
        return begun.any(1) | self.ends[new].any(1)


def open_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder that `save_pretrained` wrote, padding on the left.

    Raises:
        UsageError: the folder holds no model, or no tokenizer.
    """
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"{folder} holds no model of Hugging Face (no config.json). Name a local folder, as save_pretrained or "
            "arith export writes it; nothing is downloaded"
        )
    return load_tokenizer(folder, padding_side="left")


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a text, from wherever the folder names them; those of words or digits would cut replies."""
    own = model.generation_config.eos_token_id
    named = [*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id]
    special = set(tokenizer.all_special_ids)
    return sorted({token for token in named if token in special})
