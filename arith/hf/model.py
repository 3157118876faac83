"""arith's models as models of Hugging Face: import this, and `AutoModelForCausalLM` knows them.

import arith.hf.model
model = AutoModelForCausalLM.from_pretrained(FOLDER)      # one that `arith export` wrote
model.save_pretrained(OTHER); model.push_to_hub("you/adder")       # which others load with trust_remote_code=True
"""

import os
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.experiment.exported import config_of, key_of
from arith.hf.decoding import Decoding, Prompts
from arith.hf.inputs import CACHE
from arith.model.transformer import Transformer
from arith.tasks import vocabulary

IGNORED = -100  # the label that is left out of a loss, as everywhere in transformers

STUB = "arith_hf"  # the module beside the weights in which transformers looks for the classes of a model of other code
# Within try, since transformers would else name what is missing by its import's name: "pip install arith" is another
# package. A line that begins with "from arith" and stands in no try is searched for by its loader.
STUB_TEXT = '''"""The model's code is arith: pip install 'arith-toolkit[hf]'."""

try:
    from arith.hf.model import ArithConfig, ArithForCausalLM
except ImportError as error:
    raise ImportError(
        "this model's code is arith-toolkit: pip install 'arith-toolkit[hf]' (the package called arith is another one)"
    ) from error

__all__ = ["ArithConfig", "ArithForCausalLM"]
'''


class ArithConfig(PreTrainedConfig):
    """The configuration of a run, as run.json holds it.

    Args:
        run: the configuration as nested tables; the defaults if None, as transformers calls it without arguments.
        kwargs: whatever else transformers keeps in a configuration.
    """

    model_type = "arith"

    def __init__(self, run: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.run = RunConfig().as_dict() if run is None else run
        for name, mark in (("bos", vocabulary.BEGIN), ("eos", vocabulary.END), ("pad", vocabulary.PAD)):
            kwargs.setdefault(f"{name}_token_id", vocabulary.token(mark))
        super().__init__(**kwargs)
        # Where transformers finds the classes if it is called with trust_remote_code=True. Here, as what it has read so
        # far may name other files, such as copies of this one.
        self.auto_map = {"AutoConfig": f"{STUB}.ArithConfig", "AutoModelForCausalLM": f"{STUB}.ArithForCausalLM"}

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Write config.json and the module beside it. A model's own `save_pretrained` and `push_to_hub` call this."""
        super().save_pretrained(save_directory, *args, **kwargs)
        (Path(save_directory) / f"{STUB}.py").write_text(STUB_TEXT, encoding="utf-8")

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = "AutoConfig") -> None:
        """Nothing: transformers would copy this file beside the weights, and the module is there."""


class ArithForCausalLM(PreTrainedModel, GenerationMixin):
    """A trained transformer with its encoding. Tokens are those of `arith.hf.tokenizer`, in the run's format.

    Position ids are no argument: where the answer begins is read off the tokens. What an encoding draws at random for
    a sample is the same for every sample.
    """

    config_class = ArithConfig
    base_model_prefix = "transformer"
    _is_stateful = True  # tells `generate` that `Decoding` cannot take back a token, as assisted decoding would

    def __init__(self, config: ArithConfig) -> None:
        super().__init__(config)
        self.experiment = experiment = Experiment.of(config_of(config.run))
        self.transformer = self._build()
        self.prompts = Prompts(experiment.tests.task, experiment.tests.format)
        self.key, self.capacity = key_of(experiment), experiment.tokens
        self.post_init()
        if self.generation_config is not None:
            self.generation_config.max_length = experiment.tokens  # transformers would stop at 20

    def _init_weights(self, module: Any) -> None:
        """Fill computed buffers. Weights are initialised where arith does it, in the transformer's constructor."""
        # transformers builds a model that it loads without memory, and gives each module it finds unfilled to this
        # method. Buffers that are computed are in no file, so they are taken from a second model.
        computed = [name for name in module._buffers if name in module._non_persistent_buffers_set]
        if computed:
            place = next(name for name, part in self.transformer.named_modules() if part is module)
            fresh = self._build().get_submodule(place)
            for name in computed:
                module.get_buffer(name).copy_(fresh.get_buffer(name))

    def _build(self) -> Transformer:
        """The model before training."""
        # Its weights are drawn from torch's generator, which a user has seeded for something else. The device is named
        # as transformers builds on the meta device.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return self.experiment.model()

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = "AutoModel") -> None:
        """Nothing, as in the configuration."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # `generate` would pass a cache of its own, and `Decoding` is the only one

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.transformer.embedding

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.transformer.head

    def forward(
        self,
        input_ids: Int[Tensor, "b n"],
        attention_mask: Int[Tensor, "b n"] | None = None,
        cache: Decoding | None = None,
        labels: Int[Tensor, "b n"] | None = None,
        use_cache: bool | None = None,
        past_key_values: Decoding | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of every token, or with a cache (`use_cache`) of the next token alone.

        Args:
            input_ids: the tokens.
            attention_mask: 0 where there is padding, on either side.
            cache: the cache that the last step returned; None at the first.
            labels: the tokens to learn, -100 elsewhere; the loss is the mean over them.
            use_cache: whether to return a cache.
            past_key_values: the name of `cache` before transformers 5.24.
        """
        cache = past_key_values if cache is None else cache
        if cache is not None:
            if not isinstance(cache, Decoding):
                raise ValueError(
                    f"the cache is what the last step gave, got a {type(cache).__name__}. Leave it out at the first one"
                )
            return _result(cache.step(input_ids), cache)
        valid = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        if use_cache and labels is None:
            decoding = Decoding(self.transformer, self.prompts, self.key, self.capacity)
            return _result(decoding.begin(input_ids, valid), decoding)
        logits = self._whole(input_ids, valid)
        loss = None
        if labels is not None:
            # Logits at a token predict the next, so labels are shifted by one.
            loss = functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits)

    def _whole(self, tokens: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> Float[Tensor, "b n v"]:
        """One pass over whole sequences. Padding is moved to the right, where no token sees it, and the logits back."""
        index = torch.arange(tokens.shape[1], device=tokens.device)
        start = valid.long().argmax(1, keepdim=True)
        pad = vocabulary.token(vocabulary.PAD)
        # Each row is rotated by its own left padding: gathered at (index + start) mod n, put back at (index - start).
        moved = tokens.masked_fill(~valid, pad).gather(1, (index + start) % tokens.shape[1])
        lengths = torch.minimum(self.prompts.lengths(moved), valid.sum(1))
        key = torch.full_like(lengths, self.key)
        ids = self.transformer.encoding.full(self.prompts.prompt(moved, lengths), moved, key, self.capacity)
        beyond = self.transformer.encoding.beyond(ids)
        if beyond is not None:
            # As in decoding: an answer that never ends runs out of ids.
            ids = tuple(levels.masked_fill(beyond, 0) for levels in ids)
        # Prompts are of one length with `prompt_layers`, above which their tokens have no logits: zeros say as much.
        alone = self.transformer.config.prompt_layers is not None
        queries = 1 + tokens.shape[1] - int(lengths.min()) if alone else None
        logits: Tensor = functional.pad(
            self.transformer(moved, ids, queries=queries), (0, 0, tokens.shape[1] - (queries or tokens.shape[1]), 0)
        )
        back = ((index - start) % tokens.shape[1])[..., None].expand(-1, -1, logits.shape[2])
        return logits.gather(1, back)


def _result(logits: Float[Tensor, "b 1 v"], decoding: Decoding) -> CausalLMOutputWithPast:
    # The type that transformers declares is its own cache; `Decoding` has the methods that `generate` calls.
    return CausalLMOutputWithPast(logits=logits, **{CACHE: cast(Any, decoding)})


AutoConfig.register("arith", ArithConfig, exist_ok=True)
AutoModelForCausalLM.register(ArithConfig, ArithForCausalLM, exist_ok=True)
