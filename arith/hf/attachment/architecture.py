"""Where a transformers model has its attention and the positions of its own, and why it may not be attached to."""

import inspect
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from arith.catalogue.build import encoding
from arith.encodings.compose import Composed
from arith.errors import UsageError

_DISPATCH = "ALL_ATTENTION_FUNCTIONS"  # what a forward that goes through transformers' attention interface names
_CACHE_OFFSET = "cache_offset"  # what attention takes that keeps its keys in several places of the cache
_HANDED_ON = "arith_handed_on"  # a keyword argument that no model has
_POSITION_TABLE = re.compile(r"(^|\.)(wpe|embed_positions|positions?_embeddings?|pos_embed\w*)$")


@dataclass(frozen=True)
class Shape:
    """What of a model an encoding depends on; `family` and `vocabulary` tell whether saved numbers are for it."""

    family: str
    width: int
    heads: int
    head_width: int
    layers: int
    vocabulary: int

    def encoding(self, text: str, tokens: int, digits: int | None = None) -> Composed:
        """The encoding that a text names, for this shape."""
        return encoding(
            text,
            width=self.width,
            heads=self.heads,
            head_width=self.head_width,
            layers=self.layers,
            tokens=tokens,
            digits=digits,
        )


@dataclass(frozen=True)
class Architecture:
    """The parts of a causal model.

    Args:
        base: without the head; what positions enter.
        attention: of each layer.
        blocks: the layers themselves.
        rotaries: names, in the base, of modules that compute the model's own rotations.
        tables: names, in the base, of the model's own position embeddings.
    """

    base: Any
    attention: tuple[nn.Module, ...]
    blocks: tuple[nn.Module, ...]
    rotaries: tuple[str, ...]
    tables: tuple[str, ...]
    shape: Shape

    @staticmethod
    def of(model: Any) -> "Architecture":
        """Raise a UsageError with the reason if an encoding cannot be attached."""
        if not isinstance(model, PreTrainedModel):
            inner = " Attach to the model inside, before it is wrapped" if hasattr(model, "base_model") else ""
            raise UsageError(f"attach takes a model of transformers, got {type(model).__name__}.{inner}")
        name, config = type(model).__name__, model.config
        _check_config(name, config)
        decoder = model.get_decoder()  # OPT's base model wraps it, and its causal model calls it directly
        base = decoder if isinstance(decoder, PreTrainedModel) else model.base_model
        attention = {path: own for path, own in base.named_modules() if _dispatches(own)}
        layers = [getattr(own, "layer_idx", None) for own in attention.values()]
        if not attention:
            raise UsageError(
                f"{name} does not compute its attention through transformers' AttentionInterface, so nothing can be "
                f"put in its place. Models that do: GPT-2, Llama, Phi, GPT-NeoX, Qwen, Mistral and most newer ones"
            )
        if layers != list(range(config.num_hidden_layers)):
            raise UsageError(
                f"{name} has {config.num_hidden_layers} layers, and attention modules in layers {layers}: an encoding "
                f"needs attention in every layer, once"
            )
        if any(_CACHE_OFFSET in inspect.signature(own.forward).parameters for own in attention.values()):
            raise UsageError(
                f"{name} runs layers several times, with keys of each time in its cache, and what an encoding keeps is "
                f"of a layer, once"
            )
        if not all(getattr(own, "is_causal", True) for own in attention.values()):
            raise UsageError(f"{name} has attention that is not causal")
        blocks = tuple(_block(base, path) for path in attention)
        for own in (base, blocks[0], *attention.values()):
            if not _hands_on(own):
                raise UsageError(
                    f"{type(own).__name__} takes no further keyword arguments, and positions travel as one"
                )
        rotaries = tuple(path for path, own in base.named_modules() if "Rotary" in type(own).__name__)
        tables = tuple(path for path, own in base.named_modules() if _is_table(path, own))
        if not rotaries and not tables:
            raise UsageError(
                f"{name} has neither rotary embeddings nor a position table that could be taken out, so how it knows "
                f"positions is not known here"
            )
        _check_handed_on(model, base, blocks[0], next(iter(attention.values())))
        heads = config.num_attention_heads
        head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
        shape = Shape(config.model_type, config.hidden_size, heads, head_width, len(layers), config.vocab_size)
        return Architecture(base, tuple(attention.values()), blocks, rotaries, tables, shape)


class Unrotated(nn.Module):
    """In the place of a model's rotary embedding: cosines of 1 and sines of 0.

    Args:
        widths: rotated dimensions, by type of layer where they differ.
        config: of the model.
    """

    def __init__(self, widths: dict[str | None, int], config: Any) -> None:
        super().__init__()
        self.widths = widths
        self.config = config  # which some models ask their rotary embedding for

    @staticmethod
    def like(rotary: nn.Module, config: Any, like: Tensor) -> "Unrotated":
        """For layers that expect the results of this one.

        Args:
            like: of the model's type and device.
        """
        typed = "layer_type" in inspect.signature(rotary.forward).parameters
        kinds = sorted(set(config.layer_types)) if typed else [None]
        widths = {}
        for kind in kinds:
            given = {} if kind is None else {"layer_type": kind}
            place = torch.zeros(1, 1, dtype=torch.long, device=like.device)
            try:
                found = rotary(like.new_zeros(1, 1, 1), place, **given)
            except (KeyError, AttributeError, TypeError) as error:
                raise UsageError(
                    f"{type(rotary).__name__} does not compute rotations from positions alone, so it cannot be taken "
                    f"out: {error!r}"
                ) from error
            if not (isinstance(found, tuple) and len(found) == 2 and found[0].ndim == 3):
                raise UsageError(f"{type(rotary).__name__} gives no cosines and sines, so it cannot be taken out")
            widths[kind] = found[0].shape[2]
        return Unrotated(widths, config)

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> tuple[Tensor, Tensor]:
        shape = (1, position_ids.shape[-1], self.widths[layer_type])
        return x.new_ones(shape), x.new_zeros(shape)


class Unplaced(nn.Module):
    """In the place of a model's position table, whose weights it keeps, so that they are saved with the model."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.weight.new_zeros(1, 1, self.weight.shape[1])


def _check_config(name: str, config: Any) -> None:
    if config.is_encoder_decoder or getattr(config, "add_cross_attention", False):
        raise UsageError(f"{name} has cross-attention, and encodings here are for decoders alone")
    if config.get_text_config() is not config:
        raise UsageError(f"{name} reads more than text. Attach to its language model")
    for cap in ("attn_logit_softcapping", "attention_logit_cap"):
        if getattr(config, cap, None):
            raise UsageError(f"{name} caps its scores ({cap}={getattr(config, cap)}), which arith's attention does not")
    if getattr(config, "alibi", False):
        raise UsageError(f"{name} has ALiBi inside its attention (alibi=True), which cannot be taken out")


def _dispatches(module: nn.Module) -> bool:
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return code is not None and _DISPATCH in code.co_names


def _hands_on(module: nn.Module) -> bool:
    parameters = inspect.signature(module.forward).parameters.values()
    return any(own.kind is inspect.Parameter.VAR_KEYWORD for own in parameters)


class _Arrived(Exception):  # noqa: N818  no error: it ends a pass that has shown what it should
    pass


def _check_handed_on(model: Any, base: nn.Module, block: nn.Module, attention: nn.Module) -> None:
    """Raise unless a keyword argument gets from the base to attention: in a pass of one token, which ends there."""
    reached: list[nn.Module] = []

    def given(base: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args, {**kwargs, _HANDED_ON: True}

    def seen(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if _HANDED_ON in kwargs:
            reached.append(module)
        if module is attention:
            raise _Arrived

    handles = [base.register_forward_pre_hook(given, with_kwargs=True)]
    handles += [own.register_forward_pre_hook(seen, with_kwargs=True) for own in (block, attention)]
    training = {own: own.training for own in model.modules()}
    token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    try:
        model.eval()  # dropout would draw
        with torch.no_grad(), suppress(_Arrived):
            model(input_ids=token, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
        for own, before in training.items():
            own.training = before
    for own in (block, attention):
        if own not in reached:
            raise UsageError(
                f"{type(model).__name__} hands no keyword arguments on to {type(own).__name__}, and positions travel "
                f"as one"
            )


def _is_table(path: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding) and _POSITION_TABLE.search(path) is not None


def _block(base: nn.Module, path: str) -> nn.Module:
    """The layer that an attention module is in: the nearest around it that stands in a list."""
    while "." in path:
        above, _, _ = path.rpartition(".")
        if isinstance(base.get_submodule(above), nn.ModuleList):
            return base.get_submodule(path)
        path = above
    raise UsageError(f"the layers of {type(base).__name__} do not stand in a list")
