"""Where a transformers model has its attention and its own positions, or the reason why nothing can be attached.

transformers has no interface for positions, so they are found by conventions that its models share. Whatever does not
follow them is refused with the reason: a wrong guess would train a model whose positions are not what they seem.
"""

import inspect
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from arith.catalogue.build import encoding
from arith.catalogue.entries import ENCODINGS
from arith.catalogue.spec import PartSpec, parse
from arith.encodings.base import Encoding
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
        placed: the layers in which the model's own positions act.
        shape: what an encoding depends on.
    """

    base: Any
    attention: tuple[nn.Module, ...]
    blocks: tuple[nn.Module, ...]
    rotaries: tuple[str, ...]
    tables: tuple[str, ...]
    placed: tuple[int, ...]
    shape: Shape

    @staticmethod
    def of(model: Any, keeping: bool = False) -> "Architecture":
        """Find the parts of a model.

        Args:
            model: the model.
            keeping: whether its own positions stay, so that they need not be found.

        Raises:
            UsageError: the reason why no encoding can be attached.
        """
        name, config = type(model).__name__, model.config
        _check_config(name, config)
        decoder = model.get_decoder()  # OPT's base model wraps it, and its causal model calls it directly
        base = decoder if isinstance(decoder, PreTrainedModel) else model.base_model
        attention = find_attention(name, base)
        layers = [getattr(module, "layer_idx", None) for module in attention.values()]
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
        if not (rotaries or tables or keeping):
            raise UsageError(
                f"{name} has neither rotary embeddings nor a position table that could be taken out, so how it knows "
                f"positions is not known here. An encoding can be added to them: 'own+...'"
            )
        _check_handed_on(model, base, blocks[0], next(iter(attention.values())))
        heads = config.num_attention_heads
        head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
        shape = Shape(config.model_type, config.hidden_size, heads, head_width, len(layers), config.vocab_size)
        placed = _find_placed(model, base, tuple(attention.values()), rotaries)
        return Architecture(base, tuple(attention.values()), blocks, rotaries, tables, placed, shape)

    def place(self, text: str) -> str:
        """Write out in which layers an encoding acts: those where the model's own positions do, if it does not say."""
        if len(self.placed) in (0, self.shape.layers):
            return text
        parts = [
            replace(part, layers=self.placed) if part.layers is None and not _acts_at_input(part) else part
            for part in parse(text)
        ]
        return "+".join(map(str, parts))


def _check_config(name: str, config: Any) -> None:
    if config.is_encoder_decoder or getattr(config, "add_cross_attention", False):
        raise UsageError(f"{name} has cross-attention, and encodings here are for decoders alone")
    if config.get_text_config() is not config:
        raise UsageError(f"{name} reads more than text. Attach to its language model")
    if getattr(config, "alibi", False):
        raise UsageError(f"{name} has ALiBi inside its attention (alibi=True), which cannot be taken out")


def _dispatches(module: nn.Module) -> bool:
    """Whether a module's forward goes through the attention interface: its compiled code uses that name."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return code is not None and _DISPATCH in code.co_names


def find_attention(name: str, base: nn.Module) -> dict[str, nn.Module]:
    """The attention modules of a model that go through the attention interface, by their names in it.

    Raises:
        UsageError: there is none.
    """
    attention = {path: module for path, module in base.named_modules() if _dispatches(module)}
    if not attention:
        raise UsageError(
            f"{name} does not compute its attention through transformers' AttentionInterface, so nothing can be "
            f"put in its place. Models that do: GPT-2, Llama, Phi, GPT-NeoX, Qwen, Mistral and most newer ones"
        )
    return attention


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
    _pass_one_token(model, handles)
    for module in (block, attention):
        if module not in reached:
            raise UsageError(
                f"{type(model).__name__} hands no keyword arguments on to {type(module).__name__}, and positions "
                f"travel as one"
            )


def _acts_at_input(part: PartSpec) -> bool:
    return getattr(ENCODINGS.load(part.encoding.name), "embed", Encoding.embed) is not Encoding.embed


def _find_placed(
    model: Any, base: nn.Module, attention: tuple[nn.Module, ...], rotaries: tuple[str, ...]
) -> tuple[int, ...]:
    """The layers in which the model's own positions act. Families have many ways of saying that some have none.

    So rotations are made NaN for a pass of one token: where attention uses them, it gives NaN.
    """
    if not rotaries:
        return tuple(range(len(attention)))
    found: dict[nn.Module, bool] = {}

    def spoil(module: nn.Module, args: Any, rotation: Any) -> Any:
        return tuple(own * torch.nan for own in rotation) if isinstance(rotation, tuple) else rotation * torch.nan

    def look(module: nn.Module, args: Any, out: Any) -> Any:
        mixed = out[0] if isinstance(out, tuple) else out
        found[module] = bool(mixed.isnan().any())
        clean = mixed.nan_to_num()
        return (clean, *out[1:]) if isinstance(out, tuple) else clean

    handles = [base.get_submodule(path).register_forward_hook(spoil) for path in rotaries]
    handles += [module.register_forward_hook(look) for module in attention]
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")  # fused ones take a NaN for a key that is hidden
    try:
        _pass_one_token(model, handles)
    finally:
        model.set_attn_implementation(implementation)
    return tuple(layer for layer, module in enumerate(attention) if found[module])


def _pass_one_token(model: Any, handles: list[Any]) -> None:
    """Run a model with hooks, which are removed after it."""
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
