"""A pretrained model of Hugging Face in the place of one of arith's: trained and tested by the same loop."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt64
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import arith.hf.model  # noqa: F401  registers arith's own
from arith.cache import Cache
from arith.config import ModelConfig
from arith.data import Drawn, Samples
from arith.encodings.compose import Composed, Ids, Part
from arith.encodings.nope import NoPE
from arith.encodings.positions import Sequential
from arith.errors import UsageError
from arith.hf.text import TokenizedProblems
from arith.model import Transformer, at
from arith.pretrained import folder_of
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.stream import Split


class Pretrained(Transformer):
    """A causal model of Hugging Face called as one of arith's. It has positions of its own, and looks at no ids.

    It is trained without dropout, as arith's models are, and all of it is.

    Args:
        inner: the model.
    """

    def __init__(self, inner: Any) -> None:
        nn.Module.__init__(self)  # none of a transformer's parts are made
        for module in inner.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.inner = inner
        self.encoding = Composed([Part(NoPE(), Sequential())])
        own = inner.config.get_text_config()
        shape = {"layers": own.num_hidden_layers, "width": own.hidden_size, "heads": own.num_attention_heads}
        self.config = ModelConfig(**shape)  # for what a test costs, and how many rows are tested at once

    @property
    def embedding(self) -> nn.Embedding:  # type: ignore[override]
        found: nn.Embedding = self.inner.get_input_embeddings()
        return found

    def forward(
        self,
        tokens: Int[Tensor, "b n"],
        ids: Ids,
        *,
        queries: int | None = None,
        picked: Int[Tensor, "b a"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b a v"]:
        """Logits of those that are picked of the last `queries` tokens.

        Padding is on the right, where it is nobody's past.
        """
        if cache is not None:
            raise NotImplementedError("a pretrained model decodes by its own generate")
        most = getattr(self.inner.config, "max_position_embeddings", None)
        if most is not None and tokens.shape[1] > most:
            raise UsageError(f"problems take {tokens.shape[1]} tokens, and the model has {most} positions")
        logits: Tensor = self.inner(input_ids=tokens, use_cache=False).logits
        logits = logits if queries is None else logits[:, logits.shape[1] - queries :]
        return logits if picked is None else at(logits, picked)

    def state_dict(self, *arguments: Any, **options: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """Tensors that several parts share once: files of weights hold no tensor twice."""
        found: dict[str, Tensor] = {}
        for name, tensor in super().state_dict(*arguments, **options).items():
            if not any(_same(tensor, known) for known in found.values()):
                found[name] = tensor
        return found

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        every = super().state_dict()
        whole = {
            name: state.get(name, next((state[k] for k in state if k in every and _same(every[k], own)), None))
            for name, own in every.items()
        }
        return super().load_state_dict({name: own for name, own in whole.items() if own is not None}, strict, assign)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.device.type != "meta"


@dataclass(frozen=True)
class Start:
    """A local folder with a causal model and its tokenizer."""

    folder: Path
    tokenizer: Any

    @staticmethod
    @functools.cache
    def of(text: str) -> "Start":
        """What `hf:FOLDER` names.

        Raises:
            UsageError: there is none, or its tokenizer cannot be used.
        """
        folder = folder_of(text)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{folder} holds no tokenizer that can be loaded: {error}") from error
        if not tokenizer.is_fast:
            raise UsageError(
                f"the tokenizer in {folder} does not tell where its tokens stand in the text: take a fast one"
            )
        if tokenizer.eos_token_id is None:
            raise UsageError(f"the tokenizer in {folder} has no token that ends an answer: set its eos_token")
        return Start(folder, tokenizer)

    def model(self) -> Pretrained:
        """With the weights it was saved with, in float32; without any, on the meta device."""
        try:
            config = AutoConfig.from_pretrained(self.folder, local_files_only=True)
            for name in vars(config):
                if name.endswith(("dropout", "pdrop")) and isinstance(getattr(config, name), float):
                    setattr(config, name, 0.0)
            if torch.empty(0).device.type == "meta":
                return Pretrained(AutoModelForCausalLM.from_config(config))
            loaded = AutoModelForCausalLM.from_pretrained(
                self.folder, config=config, local_files_only=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{self.folder} cannot be loaded as a causal model: {error}") from error
        return Pretrained(loaded.train())

    def tokenized(self, problems: Samples, form: Format) -> "TokenizedSamples":
        """Problems as this model reads them."""
        return TokenizedSamples(problems, TokenizedProblems(self.tokenizer, form, spaced=False))


@dataclass(frozen=True)
class TokenizedSamples:
    """Problems as tokens of a tokenizer, exactly as a format writes them."""

    problems: Samples
    outlet: TokenizedProblems

    @property
    def sources(self) -> Sequence[Drawn]:
        return self.problems.sources

    @property
    def split(self) -> Split:
        return self.problems.split

    @property
    def longest(self) -> int:
        return self.problems.longest

    @property
    def samples(self) -> int | None:
        return self.problems.samples

    def hashes(self, start: int, count: int) -> UInt64[np.ndarray, " n"]:
        return self.problems.hashes(start, count)

    def keys(self, start: int, count: int) -> Int[np.ndarray, " n"]:
        return self.problems.keys(start, count)

    def written(self, form: Format, start: int, count: int) -> Written:
        try:
            return self.outlet.written(self.problems, start, count)
        except ValueError as error:
            advice = "Write digits apart, --format plain+groups:size=1, or choose another tokenizer"
            raise UsageError(f"{str(error).partition('. Use')[0]}. {advice}") from error
