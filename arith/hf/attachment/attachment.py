"""Our encodings in models of transformers: `attach` puts one in the place of a model's own, `detach` takes it out."""

import inspect
import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from arith.catalogue.named import format_named
from arith.catalogue.settings import errors_about
from arith.data.batch import reading
from arith.encodings.base import Positions
from arith.errors import UsageError
from arith.hf.attachment.architecture import Architecture, Unplaced, Unrotated
from arith.hf.attachment.interface import INPUT, NAME, PASS, Pass
from arith.hf.attachment.numerals import Numerals, Vocabulary
from arith.hf.attachment.placing import Text, assign_ids, check_digits
from arith.hf.attachment.remembered import Remembered
from arith.hf.inputs import cache_name, cache_of, tokens_of, visible

KEYS = "position_keys"  # argument of the model's forward


@dataclass(frozen=True)
class Settings:
    """What an attachment is made of, beside the model.

    Args:
        encoding: see `arith.catalogue.spec`.
        tokens: of the longest sequence.
        digits: of the longest number; None: as many as tokens.
        format: how numbers are written; see `arith.catalogue.named`.
    """

    encoding: str
    tokens: int
    digits: int | None
    format: str


def attach(
    model: Any,
    encoding: str,
    *,
    tokenizer: Vocabulary | None = None,
    tokens: int | None = None,
    digits: int | None = None,
    format: str = "reversed",  # noqa: A002  named as on the command line
) -> "Attachment":
    """Put an encoding in the place of a causal model's own. The model is changed in place and used as before.

    Args:
        model: of transformers, whose attention goes through its attention interface.
        encoding: as `arith.catalogue.spec` has it, such as "fire@coupled"; `own_rope(model)` for its own.
        tokenizer: of the model; needed by schemes that look at digits.
        tokens: of the longest sequence; by default what the model is made for.
        digits: of the longest number; by default as many as tokens.
        format: how numbers are written in the text, for schemes that look at digits: by default operands most
            significant digit first, and what follows an equals sign least significant digit first.

    Returns:
        What was added, whose parameters are new; `model.arith` is the same. They are of the model's type and device,
        and trained with the model's own.

    Schemes that draw take a random key for each sample: `model(..., position_keys=keys)`; without it, keys are drawn
    from torch's generator in training and are 0 in evaluation.

    Raises:
        UsageError: says why this encoding and this model do not go together.

    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> shape = dict(vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4)
    >>> model = LlamaForCausalLM(LlamaConfig(**shape)).eval()
    >>> tokens = torch.tensor([[1, 2, 3]])
    >>> before = model(tokens).logits
    >>> attach(model, "fire", tokens=64)
    Attachment('fire', tokens=64, parameters=396)
    >>> bool((model(tokens).logits == before).all())
    False
    >>> detach(model)
    >>> bool((model(tokens).logits == before).all())
    True
    """
    check_free(model)
    architecture = Architecture.of(model)
    tokens = getattr(model.config, "max_position_embeddings", 1024) if tokens is None else tokens
    made_of = Settings(encoding, tokens, digits, format)
    numerals = None if tokenizer is None else Numerals.of(tokenizer, model.config.vocab_size)
    return Attachment(made_of, architecture, numerals).put_into(model, architecture)


def detach(model: Any) -> None:
    """Take out what is attached: the model is what it was, bit for bit."""
    attachment = attached(model)
    if attachment is None:
        raise UsageError(f"nothing is attached to this {type(model).__name__}")
    attachment.remove(model)


def attached(model: Any) -> "Attachment | None":
    """What is attached to a model."""
    found = getattr(model, NAME, None)
    return found if isinstance(found, Attachment) else None


def check_free(model: Any) -> None:
    """Raise if something is attached."""
    if attached(model) is not None:
        raise UsageError(f"{attached(model)} is attached already. Take it out first: arith.hf.detach(model)")


class Attachment(nn.Module):
    """An encoding inside a model of transformers.

    Args:
        settings: what it is made of.
        architecture: of the model.
        numerals: what the tokens are to numbers; None where no scheme looks at them.
    """

    kind: Int[Tensor, " v"]
    digits: Int[Tensor, " v"]
    ends_line: Bool[Tensor, " v"]

    def __init__(self, settings: Settings, architecture: Architecture, numerals: Numerals | None) -> None:
        super().__init__()
        self.settings = settings
        self.shape = architecture.shape
        self.encoding = self.shape.encoding(settings.encoding, settings.tokens, settings.digits)
        if self.encoding.slides:
            raise UsageError(f"'{settings.encoding}' moves ids from loop to loop, and {self.shape.family} has no loops")
        self.looks_at_digits = any(scheme.structure_aware for scheme in self.encoding.schemes)
        # Nothing in a text says how wide its answers are padded.
        self.reading = replace(reading(format_named(settings.format), operands=2), fixed_width=False)
        if self.looks_at_digits:
            with errors_about(f"{settings.encoding} in a text of format {settings.format}, where no width is known"):
                self.encoding.check(self.reading)
            if numerals is None:
                raise UsageError(f"'{settings.encoding}' looks at digits. Say which tokens hold them: tokenizer=...")
            for name, own in vars(numerals).items():
                self.register_buffer(name, own)
        self._taken: list[tuple[nn.Module, str, nn.Module]] = []  # what stood in the place of what is here now
        self._frozen: list[nn.Parameter] = []
        self._handles: list[Any] = []
        self._implementation = ""

    def put_into(self, model: Any, architecture: Architecture) -> "Attachment":
        """Put it into a model."""
        self.to(device=model.device, dtype=model.dtype)
        base, like = architecture.base, next(model.parameters())
        absent = {path: Unrotated.like(base.get_submodule(path), base.config, like) for path in architecture.rotaries}
        self._implementation = model.config._attn_implementation
        model.set_attn_implementation(NAME)
        for path, unrotated in absent.items():
            self._replace(base, path, unrotated)
        for path in architecture.tables:
            weight = base.get_submodule(path).weight
            if weight.requires_grad:
                self._frozen.append(weight.requires_grad_(False))
            self._replace(base, path, Unplaced(weight))
        hook = partial(self._begin, names=tuple(inspect.signature(base.forward).parameters))
        self._handles.append(base.register_forward_pre_hook(hook, with_kwargs=True))
        for layer, (block, attention) in enumerate(zip(architecture.blocks, architecture.attention, strict=True)):
            enter = partial(self._enter, layer=layer)
            self._handles.append(block.register_forward_pre_hook(enter, with_kwargs=True))
            self._handles.append(attention.register_forward_pre_hook(_hand_on_input, with_kwargs=True))
        model.add_module(NAME, self.train(model.training))
        return self

    def remove(self, model: Any) -> None:
        """Undo `put_into`."""
        for handle in self._handles:
            handle.remove()
        for owner, name, original in self._taken:
            setattr(owner, name, original.to(model.device))  # the model may have moved without it
        for weight in self._frozen:
            weight.requires_grad_(True)
        for undone in (self._handles, self._taken, self._frozen):
            undone.clear()
        model.set_attn_implementation(self._implementation)
        delattr(model, NAME)

    def _replace(self, base: nn.Module, path: str, module: nn.Module) -> None:
        above, _, name = path.rpartition(".")
        owner = base.get_submodule(above)
        self._taken.append((owner, name, base.get_submodule(path)))
        setattr(owner, name, module)

    def _begin(
        self, base: Any, args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...]
    ) -> tuple[tuple[()], dict[str, Any]]:
        """Before a pass of the model: find the positions of its tokens, and hand them on to the layers."""
        call = {**dict(zip(names, args, strict=False)), **kwargs}
        key = call.pop(KEYS, None)
        call[PASS] = self._pass(base, call, key, cache_name(names))
        return (), call

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _pass(self, base: Any, call: dict[str, Any], key: Int[Tensor, " b"] | None, named: str) -> Pass:
        cache = cache_of(base, call, named)
        remembered = None if cache is None else Remembered.of(cache, self.shape.layers)
        if self.looks_at_digits and call.get("input_ids") is None:
            raise UsageError(f"'{self.settings.encoding}' looks at digits, and inputs_embeds do not show them")
        if self.looks_at_digits and len(self.kind) != base.config.vocab_size:
            raise UsageError(
                f"the model has {base.config.vocab_size} tokens, and had {len(self.kind)} when {self} was attached, "
                f"which knows those. Detach it, and attach it again after model.resize_token_embeddings"
            )
        tokens = tokens_of(call)
        earlier = 0 if remembered is None else remembered.length
        valid, documents = visible(call, tokens, earlier, remembered is not None)
        if remembered is not None and remembered.tokens is not None:
            tokens, key = torch.cat([remembered.tokens, tokens], dim=1), remembered.key
        key = self._keys(tokens, key)
        text = self._text(tokens, valid, documents, key)
        if self.looks_at_digits and not earlier:
            check_digits(text, self.reading)
        found = tuple(assign_ids(own, text, self.reading, self.settings.tokens) for own in self.encoding.schemes)
        new = self._within_reach(tuple(own[..., earlier:] for own in found), decoding=earlier > 0)
        positions = tuple(Positions(own, own) for own in new)
        if remembered is not None:
            if earlier:
                positions = tuple(map(_after, positions, remembered.ids))
            remembered.tokens, remembered.key = tokens, key
            remembered.ids = tuple(own.k for own in positions)
        return Pass(self.encoding, positions, valid, documents, remembered, self.shape.head_width)

    def _keys(self, tokens: Int[Tensor, "b n"], given: Int[Tensor, " b"] | None) -> Int[Tensor, " b"]:
        rows = len(tokens)
        if given is not None:
            if given.shape != (rows,):
                raise UsageError(f"{KEYS} is a whole number for each of {rows} samples: got {tuple(given.shape)}")
            return given.to(tokens.device)
        if not self.training:
            return torch.zeros(rows, dtype=torch.long, device=tokens.device)
        return torch.randint(2**62, (rows,), device=tokens.device)

    def _text(
        self,
        tokens: Int[Tensor, "b k"],
        valid: Bool[Tensor, "b k"] | None,
        documents: Int[Tensor, "b k"] | None,
        key: Int[Tensor, " b"],
    ) -> Text:
        if self.looks_at_digits:
            kind, digits, ends_line = self.kind[tokens].long(), self.digits[tokens].long(), self.ends_line[tokens]
        else:
            kind = digits = torch.zeros_like(tokens)
            ends_line = torch.zeros_like(tokens, dtype=torch.bool)
        return Text(kind, digits, ends_line, valid, documents, key, not self.training)

    def _within_reach(self, ids: tuple[Tensor, ...], decoding: bool) -> tuple[Tensor, ...]:
        beyond = self.encoding.beyond(ids)
        if beyond is None:
            return ids
        if not torch.compiler.is_compiling() and bool(beyond.any()):
            told = (
                f"{self} is attached for sequences of {self.settings.tokens} tokens and numbers of "
                f"{self.settings.digits or self.settings.tokens} digits, and here an id is "
                f"{max(int(own.max()) for own in ids)}. Attach it with larger tokens= and digits="
            )
            if not decoding:
                raise UsageError(told)
            # A number that a model never ends must not end the other rows of a batch.
            warnings.warn(f"{told}. Tokens beyond go on without positions", stacklevel=2)
        return tuple(own.masked_fill(beyond, 0) for own in ids)

    def _enter(
        self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], layer: int
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before a layer: what the encoding does to its input, and to the model's before the first."""
        current: Pass | None = kwargs.get(PASS)
        if current is None:
            raise UsageError(f"the model does not hand keyword arguments on to {type(block).__name__}")
        x, args, kwargs = _split_input(args, kwargs)
        if layer == 0:
            x = self.encoding.embed(x, current.positions)
        return (self.encoding.at(layer).hidden(x, current.positions), *args), kwargs

    def extra_repr(self) -> str:
        return f"{self.settings.encoding!r}, tokens={self.settings.tokens}"

    def __repr__(self) -> str:
        parameters = sum(own.numel() for own in self.parameters())
        return f"Attachment({self.extra_repr()}, parameters={parameters})"

    def __str__(self) -> str:
        return f"'{self.settings.encoding}'"


def _split_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """The hidden states that a module is called with, and the other arguments."""
    if args:
        return args[0], args[1:], kwargs
    return kwargs["hidden_states"], args, {name: own for name, own in kwargs.items() if name != "hidden_states"}


def _hand_on_input(
    attention: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Before an attention module: its input goes with it to the interface, for terms that look at content."""
    return args, {**kwargs, INPUT: _split_input(args, kwargs)[0]}


def _after(new: Positions, earlier: Int[Tensor, "levels #b k"]) -> Positions:
    """Positions of new tokens, with earlier ones among the keys."""
    rows = max(new.k.shape[1], earlier.shape[1])
    return Positions(new.q, torch.cat([own.expand(-1, rows, -1) for own in (earlier, new.k)], dim=2))
