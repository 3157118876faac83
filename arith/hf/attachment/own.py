"""Models that keep their own positions, and how these reach arith's op.

Rotations and tables act on queries, keys and embeddings, and stay by being left alone. A bias is added to the scores by
attention itself: the model hands it to the attention interface as `position_bias`. Where a family is known it is handed
on as what it is made from, numbers by distance or the states of queries, and the bias of all pairs is never made.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from arith.catalogue.spec import Named, PartSpec, parse
from arith.errors import UsageError
from arith.hf.attachment.changes import Changes, check_implementation
from arith.hf.attachment.interface import KEPT, NAME, READER, Reader
from arith.kernels.terms import DistanceTable, PairTable, QueryTable, ScoreMod, Term

OWN = "own"  # the name of a model's own positions in the text of an encoding


def split_own(text: str) -> tuple[bool, str]:
    """Whether a text keeps the model's own positions, and the encoding that it adds to them or puts in their place.

    Raises:
        UsageError: the text is not of the language, or it puts the model's own positions on a scheme or in some layers.

    >>> split_own("fire@coupled+own"), split_own("own"), split_own("rope")
    ((True, 'fire@coupled'), (True, ''), (False, 'rope'))
    """
    parts = parse(text, also=OWN)
    own = [part for part in parts if part.encoding.name == OWN]
    if not own:
        return False, text
    if any(part != PartSpec(Named(OWN)) for part in own) or len(own) > 1:
        raise UsageError(
            f"'{text}': '{OWN}' stands for all positions that the model has, as they are. It takes no settings, scheme "
            f"or layers, and stands in a text once: '{OWN}+fire@coupled'"
        )
    return True, "+".join(str(part) for part in parts if part.encoding.name != OWN)


class Own(nn.Module):
    """A model's own positions, all of them kept: only its attention is arith's."""

    def __init__(self) -> None:
        super().__init__()
        self._changes = Changes()

    def put_into(self, model: Any, attention: Iterable[nn.Module]) -> "Own":
        """Send a model's attention through arith's op."""
        self._changes.attend(model, KEPT)
        self._changes.hook(model.register_forward_pre_hook(self._check_implementation))
        keep_biases(attention, self._changes)
        model.add_module(NAME, self)
        return self

    def _check_implementation(self, model: Any, args: tuple[Any, ...]) -> None:
        check_implementation(model, KEPT, self.title)

    def remove(self, model: Any) -> None:
        """Undo `put_into`."""
        self._changes.undo(model)
        delattr(model, NAME)

    def __repr__(self) -> str:
        return "Own()"

    @property
    def title(self) -> str:
        return f"'{OWN}'"


def keep_biases(attention: Iterable[nn.Module], changes: Changes) -> None:
    """Have what a model itself adds to the scores reach the op.

    Args:
        attention: the modules that go through the attention interface.
        changes: where each change is remembered.
    """
    for module in attention:
        changes.override(module, READER, _find_reader(module, changes))


def _find_reader(module: nn.Module, changes: Changes) -> Reader:
    """How a module's bias is read, after it has been made small where its family is known."""
    # T5 and its kin: numbers by bucket of distance, which the first layer makes and all others share.
    if hasattr(module, "relative_attention_max_distance") and hasattr(module, "compute_bias"):
        changes.override(module, "compute_bias", partial(_by_distance, module))
        if "position_bias" in inspect.signature(module.forward).parameters:
            changes.hook(module.register_forward_pre_hook(_hand_on_nothing, with_kwargs=True))
        return _read_distances
    for child in module.children():
        states_of = _STATES.get(type(child).__name__)
        if states_of is not None:
            changes.override(child, "forward", partial(states_of, child))
            return partial(_read_states, child)
    return _read_pairs


def _by_distance(module: Any, *args: Any, **kwargs: Any) -> Float[Tensor, "h 2r+2"]:
    """In the place of T5's `compute_bias`: its numbers for every distance, by itself. Beyond r they are the same."""
    radius = module.relative_attention_max_distance
    values = type(module).compute_bias(module, 1, 2 * radius + 1, past_seen_tokens=radius)
    return functional.pad(values[0, :, 0], (0, 1))  # no id is 0


def _hand_on_nothing(
    module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Before cross-attention, which has no bias: T5 would lay out zeros for all pairs."""
    if kwargs.get("position_bias") is None and not module.has_relative_attention_bias:
        kwargs = {**kwargs, "position_bias": module.q.weight.new_zeros(1)}
    return args, kwargs


def _read_distances(bias: Float[Tensor, "..."], queries: int, keys: int) -> Term | None:
    return DistanceTable(bias) if bias.dim() == 2 else None  # others are zeros of cross-attention


def _inkling_states(
    module: Any, states: Float[Tensor, "b q h e"], query_positions: Tensor, key_positions: Tensor
) -> Float[Tensor, "b h q e"]:
    """In the place of a bias: the states that it is made from, which the layer then scales as it would the bias."""
    return states.transpose(1, 2)


def _inkling2_states(
    module: Any, x: Float[Tensor, "b q w"], distance: Tensor, position_ids: Tensor
) -> Float[Tensor, "b h q e"]:
    states = module.linear(x).unflatten(2, (module.num_heads, -1))
    return module.norm(states, position_ids).transpose(1, 2)  # type: ignore[no-any-return]


_STATES: dict[str, Callable[..., Tensor]] = {
    "InklingRelativeLogits": _inkling_states,
    "Inkling2RelativePositionBias": _inkling2_states,
    "Inkling2LoopRelativePositionBias": _inkling2_states,
}


def _read_states(module: Any, states: Float[Tensor, "b h q e"], queries: int, keys: int) -> Term:
    # There column j is of the key j tokens before; slots here begin with the farthest.
    return QueryTable(states, module.proj.T.flip(0)[None], first=1 - module.rel_extent)


def _read_pairs(bias: Float[Tensor, "#b #h #q k"], queries: int, keys: int) -> Term:
    """A bias of whose making nothing is known: as a table if samples share it, else in plain torch."""
    bias = functional.pad(bias, (0, keys - bias.shape[3]))  # cross-attention from few keys has padding behind them
    if len(bias) > 1:
        return ScoreMod(lambda scores: scores + bias.to(scores.dtype))
    # A table has a row for every token, and the queries are the last of them.
    return PairTable(functional.pad(bias[0].expand(-1, queries, keys), (0, 0, keys - queries, 0)))
