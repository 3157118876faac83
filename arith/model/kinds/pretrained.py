"""A causal model of Hugging Face with the interface of arith's own, so that the training loop sees no difference."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor, nn

from arith.config.schema import ModelConfig
from arith.encodings.compose import Composed, Ids, Part
from arith.encodings.nope import NoPE
from arith.encodings.positions import Prompt, Sequential
from arith.errors import UsageError
from arith.model.block import at
from arith.model.cache import Cache
from arith.model.transformer import Transformer


@dataclass(frozen=True)
class PromptLengths(Sequential):
    """In the place of ids, for each token how long its prompt is.

    A text does not always tell where an answer begins, as in a dialogue with numbers in the questions and replies. A
    batch of arith's knows, and an encoding that is attached and looks at digits is told.
    """

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "1 b n"]:
        return repeat(prompt.length, "b -> 1 b n", n=tokens.shape[1])


def prompt_lengths() -> Composed:
    """What a pretrained model takes in the place of an encoding."""
    return Composed([Part(NoPE(), PromptLengths())])


class Pretrained(Transformer):
    """A causal model of Hugging Face with the interface of arith's own. It has its own positions.

    What is attached to it is told where answers begin; see `PromptLengths`. All of its weights are trained, and without
    dropout, as in arith's own models.

    Args:
        inner: the model, whose dropout is set to 0.
    """

    eager_because = "a pretrained model has code of its own"

    def __init__(self, inner: Any) -> None:
        nn.Module.__init__(self)  # none of a transformer's parts are made
        for module in inner.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.inner = inner
        self.encoding = prompt_lengths()
        # The argument of the inner model's call that takes them, if what is attached to it looks at digits.
        self.prompts_argument: str | None = None
        self.loops = 1
        self._leaves_out = "logits_to_keep" in inspect.signature(inner.forward).parameters
        self.config = shape_of(inner)  # from which time, a test's cost and the rows that fit into memory are estimated

    @property
    def structure_aware(self) -> bool:
        """Whether what is attached looks at digits; a pretrained model's own positions do not."""
        return self.prompts_argument is not None

    @property
    def embedding(self) -> nn.Embedding:  # type: ignore[override]
        embedding: nn.Embedding = self.inner.get_input_embeddings()
        return embedding

    def forward(
        self,
        tokens: Int[Tensor, "b n"],
        ids: Ids,
        *,
        queries: int | None = None,
        picked: Int[Tensor, "b a"] | None = None,
        cache: Cache | None = None,
        loops: int | None = None,
    ) -> Float[Tensor, "b a v"]:
        """As `Transformer.forward`, without a cache and without loops."""
        if cache is not None:
            raise NotImplementedError("a pretrained model decodes by its own generate")
        most = getattr(self.inner.config, "max_position_embeddings", None)
        if most is not None and tokens.shape[1] > most:
            raise UsageError(f"problems take {tokens.shape[1]} tokens, and the model has {most} positions")
        # No mask: padding is on the right, where no token of the problem sees it.
        # Logits of a vocabulary of tens of thousands are a fifth of SmolLM2-135M's step: of the answer's tokens alone,
        # where the model can leave out the others. What it gives of 0 is all of them.
        options: dict[str, Any] = {"logits_to_keep": queries or 0} if self._leaves_out else {}
        if self.prompts_argument is not None and ids:
            options[self.prompts_argument] = ids[0][0, :, 0]
        logits: Tensor = self.inner(input_ids=tokens, use_cache=False, **options).logits
        logits = logits if queries is None else logits[:, logits.shape[1] - queries :]
        return logits if picked is None else at(logits, picked)

    def _part_of(self, name: str) -> str:
        # Names differ from model to model. All have one list of layers, and tables of tokens and positions outside it.
        lists = [path for path, own in self.named_modules() if isinstance(own, nn.ModuleList)]
        layers = next((path for path in lists if len(self.get_submodule(path)) == self.config.layers), None)  # type: ignore[arg-type]
        if layers is not None and name.startswith(f"{layers}."):
            return f"blocks.{name.removeprefix(f'{layers}.').partition('.')[0]}"
        if name.startswith("inner.arith."):  # what is attached, as the table of a model's own positions
            return "embedding"
        inside = isinstance(self.get_submodule(name.rpartition(".")[0]), nn.Embedding)
        # A head that is tied to the embedding goes by the embedding's name.
        return "embedding" if inside else "head"

    def state_dict(self, *arguments: Any, **options: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """The weights, without the second name of a tensor that two parts share.

        Many models tie their head to their embedding, and safetensors refuses to write one tensor under two names.
        """
        state: dict[str, Tensor] = {}
        for name, tensor in super().state_dict(*arguments, **options).items():
            # The first name stays. Quadratic in the number of tensors, some hundreds, and compared by address only.
            if not any(_same(tensor, known) for known in state.values()):
                state[name] = tensor
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load what `state_dict` gave: a name that is not there gets the tensor it shares with one that is."""
        every = super().state_dict()
        # Strict loading is to find every name: one that `state_dict` left out gets its twin's tensor.
        whole = {
            name: state.get(name, next((state[k] for k in state if k in every and _same(every[k], tensor)), None))
            for name, tensor in every.items()
        }
        known = {name: tensor for name, tensor in whole.items() if tensor is not None}
        return super().load_state_dict(known, strict, assign)


def shape_of(inner: Any) -> ModelConfig:
    """The shape of a model of Hugging Face in the words of arith's own: layers, heads, and width inside the MLP."""
    text = inner.config.get_text_config()
    width, heads = text.hidden_size, text.num_attention_heads
    key_heads = getattr(text, "num_key_value_heads", None) or heads
    # Names differ: intermediate_size in most, n_inner in GPT-2, which leaves it out if it is four times the width.
    inside = (getattr(text, name, None) for name in ("intermediate_size", "n_inner", "ffn_dim", "d_ff"))
    hidden = next((own for own in inside if own), 4 * width)
    gated = any(name.rpartition(".")[2] in ("gate_proj", "gate_up_proj") for name, _ in inner.named_modules())
    return ModelConfig(
        layers=text.num_hidden_layers,
        width=width,
        heads=heads,
        key_heads=key_heads,
        hidden=hidden,
        activation="gated-silu" if gated else "gelu",
    )


def _same(one: Tensor, other: Tensor) -> bool:
    # On the meta device every tensor is at address 0.
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.device.type != "meta"
