"""Where a transformers model has its attention and its own positions, or the reason why nothing can be attached.

transformers has no interface for positions, so they are found by conventions that its models share. Whatever does not
follow them is refused with the reason: a wrong guess would train a model whose positions are not what they seem.
"""

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

_DISPATCH = "ALL_ATTENTION_FUNCTIONS"  # the name that a forward uses to go through transformers' attention interface
_CACHE_OFFSET = "cache_offset"  # an argument of attention that keeps its keys in several places of the cache
_HANDED_ON = "arith_handed_on"  # a keyword argument that no model has
# What models call their position tables: wpe in GPT-2, embed_positions in OPT.
_POSITION_TABLE = re.compile(r"(^|\.)(wpe|embed_positions|positions?_embeddings?|pos_embed\w*)$")


@dataclass(frozen=True)
class Shape:
    """What an encoding depends on in a model. `family` and `vocabulary` are there to recognise it when loading."""

    family: str
    width: int
    heads: int
    head_width: int
    layers: int
    vocabulary: int

    def encoding(self, text: str, tokens: int, digits: int | None = None) -> Composed:
        """Construct the encoding that a text names.

        Args:
            text: the encoding, see `arith.catalogue.spec`.
            tokens: the length of the longest sequence.
            digits: the length of the longest number; None: as many as tokens.
        """
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
        base: the model without its head, which is called with positions.
        attention: the attention module of each layer.
        blocks: the layers themselves.
        rotaries: names in the base of the modules that compute the model's own rotations.
        tables: names in the base of the model's own position embeddings.
        shape: what an encoding depends on.
    """

    base: Any
    attention: tuple[nn.Module, ...]
    blocks: tuple[nn.Module, ...]
    rotaries: tuple[str, ...]
    tables: tuple[str, ...]
    shape: Shape

    @staticmethod
    def of(model: Any) -> "Architecture":
        """Find the parts of a model.

        Raises:
            UsageError: the reason why no encoding can be attached.
        """
        if not isinstance(model, PreTrainedModel):
            inner = " Attach to the model inside, before it is wrapped" if hasattr(model, "base_model") else ""
            raise UsageError(f"attach takes a model of transformers, got {type(model).__name__}.{inner}")
        name, config = type(model).__name__, model.config
        _check_config(name, config)
        decoder = model.get_decoder()  # OPT's base model wraps it, and its causal model calls it directly
        base = decoder if isinstance(decoder, PreTrainedModel) else model.base_model
        attention = {path: module for path, module in base.named_modules() if _dispatches(module)}
        layers = [getattr(module, "layer_idx", None) for module in attention.values()]
        if not attention:
            raise UsageError(
                f"{name} does not compute its attention through transformers' AttentionInterface, so nothing can be "
                f"put in its place. Models that do: GPT-2, Llama, Phi, GPT-NeoX, Qwen, Mistral and most newer ones"
            )
        # Hybrid models end here, whose other layers are state-space ones: without positions in all layers, an encoding
        # would not mean what its name says.
        if layers != list(range(config.num_hidden_layers)):
            raise UsageError(
                f"{name} has {config.num_hidden_layers} layers, and attention modules in layers {layers}: an encoding "
                f"needs attention in every layer, once"
            )
        if any(_CACHE_OFFSET in inspect.signature(module.forward).parameters for module in attention.values()):
            raise UsageError(
                f"{name} runs layers several times, with keys of each time in its cache, and what an encoding keeps is "
                f"of a layer, once"
            )
        if not all(getattr(module, "is_causal", True) for module in attention.values()):
            raise UsageError(f"{name} has attention that is not causal")
        blocks = tuple(_block(base, path) for path in attention)
        for module in (base, blocks[0], *attention.values()):
            if not _takes_keywords(module):
                raise UsageError(
                    f"{type(module).__name__} takes no further keyword arguments, and positions travel as one"
                )
        rotaries = tuple(path for path, module in base.named_modules() if "Rotary" in type(module).__name__)
        tables = tuple(path for path, module in base.named_modules() if _is_table(path, module))
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
    """Stands for a model's rotary embedding and rotates by no angle: cosines of 1 and sines of 0.

    Args:
        widths: the number of rotated dimensions, by type of layer where layers differ.
        config: the model's configuration.
    """

    def __init__(self, widths: dict[str | None, int], config: Any) -> None:
        super().__init__()
        self.widths = widths
        self.config = config  # some models read it from their rotary embedding

    @staticmethod
    def like(rotary: nn.Module, config: Any, like: Tensor) -> "Unrotated":
        """Stand in for a rotary embedding, whose results tell how many dimensions the layers expect.

        Args:
            rotary: the model's own.
            config: the model's configuration.
            like: a tensor of the model's type and device.

        Raises:
            UsageError: it does not compute cosines and sines from positions alone.
        """
        typed = "layer_type" in inspect.signature(rotary.forward).parameters
        kinds = sorted(set(config.layer_types)) if typed else [None]
        widths = {}
        for kind in kinds:
            options = {} if kind is None else {"layer_type": kind}
            place = torch.zeros(1, 1, dtype=torch.long, device=like.device)
            try:
                rotation = rotary(like.new_zeros(1, 1, 1), place, **options)
            except (KeyError, AttributeError, TypeError) as error:
                raise UsageError(
                    f"{type(rotary).__name__} does not compute rotations from positions alone, so it cannot be taken "
                    f"out: {error!r}"
                ) from error
            # Complex numbers, as in Llama 4, are one tensor.
            if not (isinstance(rotation, tuple) and len(rotation) == 2 and rotation[0].ndim == 3):
                raise UsageError(f"{type(rotary).__name__} gives no cosines and sines, so it cannot be taken out")
            widths[kind] = rotation[0].shape[2]
        return Unrotated(widths, config)

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> tuple[Tensor, Tensor]:
        shape = (1, position_ids.shape[-1], self.widths[layer_type])
        return x.new_ones(shape), x.new_zeros(shape)


class Unplaced(nn.Module):
    """Stands for a model's position table and adds zeros. It keeps the weights, which are saved with the model."""

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
    """Whether a module's forward goes through the attention interface: its compiled code uses that name."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return code is not None and _DISPATCH in code.co_names


def _takes_keywords(module: nn.Module) -> bool:
    parameters = inspect.signature(module.forward).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


class _Arrived(Exception):  # noqa: N818  no error: it ends a pass early, at the first attention
    pass


def _check_handed_on(model: Any, base: nn.Module, block: nn.Module, attention: nn.Module) -> None:
    """Raise unless a keyword argument gets from the base to attention, by a pass of one token that ends there."""
    reached: list[nn.Module] = []

    def add_keyword(base: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args, {**kwargs, _HANDED_ON: True}

    def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if _HANDED_ON in kwargs:
            reached.append(module)
        if module is attention:
            raise _Arrived

    handles = [base.register_forward_pre_hook(add_keyword, with_kwargs=True)]
    handles += [module.register_forward_pre_hook(look, with_kwargs=True) for module in (block, attention)]
    training = {module: module.training for module in model.modules()}
    token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    try:
        model.eval()  # dropout would move the state of torch's generator
        with torch.no_grad(), suppress(_Arrived):
            model(input_ids=token, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
        for module, before in training.items():
            module.training = before
    for module in (block, attention):
        if module not in reached:
            raise UsageError(
                f"{type(model).__name__} hands no keyword arguments on to {type(module).__name__}, and positions "
                f"travel as one"
            )


def _is_table(path: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding) and _POSITION_TABLE.search(path) is not None


def _block(base: nn.Module, path: str) -> nn.Module:
    """The layer of an attention module: the nearest module around it that is an entry of a list."""
    while "." in path:
        above, _, _ = path.rpartition(".")
        if isinstance(base.get_submodule(above), nn.ModuleList):
            return base.get_submodule(path)
        path = above
    raise UsageError(f"the layers of {type(base).__name__} do not stand in a list")
