"""A causal model of Hugging Face, called as one of arith's."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from arith.config.schema import ModelConfig
from arith.encodings.compose import Composed, Ids, Part
from arith.encodings.nope import NoPE
from arith.encodings.positions import Sequential
from arith.errors import UsageError
from arith.model.cache import Cache
from arith.model.transformer import Transformer, at


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
