"""An encoding inside a model of transformers, which learns of every pass through hooks.

A pass goes through four places:

    the base model is called    `_begin`   finds positions of the tokens, and hands a `Pass` on as a keyword argument
    each layer is called        `_enter`   changes its input: tags, and before the first layer embeddings
    its attention is called     `_hand_on_hidden`   keeps the attention's input, for terms that look at content
    attention itself            `interface.forward`   rotates, adds terms, and calls arith's op
"""
# Over 300 lines, as one class is the module that lies in the model, and a pass goes through all of it.

import inspect
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from arith.catalogue.named import format_named
from arith.catalogue.settings import errors_about
from arith.data.batch import reading
from arith.encodings.base import Positions
from arith.encodings.positions import Kind, Sequential
from arith.errors import UsageError
from arith.hf.attachment.architecture import Architecture
from arith.hf.attachment.changes import Changes, Unplaced, Unrotated, check_implementation, check_trained
from arith.hf.attachment.interface import INPUT, NAME, PASS, Pass
from arith.hf.attachment.own import keep_biases
from arith.hf.attachment.remembered import Remembered
from arith.hf.attachment.settings import Settings
from arith.hf.inputs import cache_name, cache_of, split_hidden, tokens_of, visible
from arith.hf.numbers.given import IDS, KEYS, PROMPTS, IdsOf, begins_behind, check_levels, given_ids, keys_of
from arith.hf.numbers.marks import Notices, find_marks
from arith.hf.numbers.numerals import Numerals
from arith.hf.numbers.placing import Text, assign_ids, check_digits


class Attachment(nn.Module):
    """An encoding inside a model of transformers. Its parameters are the model's as long as it is attached.

    Args:
        settings: the encoding and its lengths.
        architecture: the model's parts.
        numerals: what each token is to numbers; None where no scheme looks at digits, or their ids are given.
        decode: from tokens to text, for warnings.
        ids_of: gives ids to tokens; None: the text does, or each call.
    """

    kind: Int[Tensor, " v"]
    digits: Int[Tensor, " v"]
    ends_line: Bool[Tensor, " v"]
    marks: Int[Tensor, "m longest"]
    architecture: Architecture | None  # while it is in a model

    def __init__(
        self,
        settings: Settings,
        architecture: Architecture,
        numerals: Numerals | None = None,
        decode: Callable[[list[int]], str] | None = None,
        ids_of: IdsOf | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.shape = architecture.shape
        self.encoding = self.shape.encoding(settings.added, settings.tokens, settings.digits)
        if self.encoding.slides:
            raise UsageError(f"'{settings.encoding}' moves ids from loop to loop, and {self.shape.family} has no loops")
        if self.encoding.lanes:
            raise UsageError(
                f"'{settings.encoding}' stands for a first layer's attention, and {self.shape.family} keeps its own"
            )
        digits = self.encoding.structure_aware
        # Ids of one's own come in the place of those that look at digits, or, without any, of token indices.
        self.given_for_indices = settings.given and not digits
        self.takes_given = [
            scheme.structure_aware or (self.given_for_indices and type(scheme) is Sequential)
            for scheme in self.encoding.schemes
        ]
        if settings.given and not any(self.takes_given):
            raise UsageError(
                f"'{settings.encoding}' draws its ids, in whose place none of your own can come: leave the scheme out"
            )
        self.looks_at_digits = digits and not settings.given
        self.ids_of, self._notices = ids_of, Notices(decode)
        # Nothing in a text tells how wide its answers are padded.
        self.reading = replace(reading(format_named(settings.format or "plain"), operands=2), fixed_width=False)
        if self.looks_at_digits:
            if numerals is None:
                raise UsageError(f"'{settings.encoding}' looks at digits. Say which tokens hold them: tokenizer=...")
            if settings.format is None:
                raise UsageError(
                    f"'{settings.encoding}' looks at digits, whose ids depend on how numbers are written. Say it: "
                    f"format='reversed' (12+345=753), 'plain' (12+345=357) or another; or give ids of your own: ids="
                )
            with errors_about(f"{settings.encoding} in a text of format {settings.format}, where no width is known"):
                self.encoding.check(self.reading)
            # As buffers they move with the model, and are saved with the encoding.
            for name, table in vars(numerals).items():
                self.register_buffer(name, table)
            self.running = bool((numerals.kind[numerals.marks[:, 0]] != Kind.EQUALS).any())
        # In an object that is no module, modules are no submodules of this one, and are neither saved nor moved.
        self._changes, self.architecture = Changes(), None

    def put_into(self, model: Any, architecture: Architecture, whole: Any = None) -> "Attachment":
        """Exchange the model's own positions for this encoding, or add it to them.

        Args:
            model: the model.
            architecture: its parts.
            whole: what stands around the model, as peft's does.
        """
        self.to(device=model.device, dtype=model.dtype)
        base, changes = architecture.base, self._changes
        if self.settings.keeping:
            changes.attend(model, NAME)
            keep_biases(architecture.attention, changes)
        else:
            # Before anything is changed, as a model whose rotations cannot be replaced is refused here.
            like = next(model.parameters())
            absent = {own: Unrotated.like(base.get_submodule(own), base.config, like) for own in architecture.rotaries}
            changes.attend(model, NAME)
            for path, module in absent.items():
                changes.replace(base, path, module)
            for path in architecture.tables:
                weight = base.get_submodule(path).weight
                # A table that is no longer used has no gradient, and distributed training waits for every gradient.
                changes.freeze(weight)
                changes.replace(base, path, Unplaced(weight))
        hook = partial(self._begin, names=tuple(inspect.signature(base.forward).parameters))
        changes.hook(base.register_forward_pre_hook(hook, with_kwargs=True))
        for layer, (block, attention) in enumerate(zip(architecture.blocks, architecture.attention, strict=True)):
            enter = partial(self._enter, layer=layer)
            changes.hook(block.register_forward_pre_hook(enter, with_kwargs=True))
            changes.hook(attention.register_forward_pre_hook(_hand_on_hidden, with_kwargs=True))
        changes.let_pass(model, (KEYS, IDS, PROMPTS))
        for each in (model,) if whole is None or whole is model else (model, whole):
            changes.save_along(each, self.write)
        self.architecture = architecture
        model.add_module(NAME, self.train(model.training))
        return self

    def remove(self, model: Any) -> None:
        """Undo `put_into`."""
        self._changes.undo(model)
        delattr(model, NAME)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write what is attached, see `arith.hf.attachment.saving`."""
        return self.settings.write(folder, self.shape, self.state_dict())

    def _begin(
        self, base: Any, args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...]
    ) -> tuple[tuple[()], dict[str, Any]]:
        """Before a pass of the model: find the positions of its tokens, and hand them on to the layers.

        Args:
            names: the model's own argument names, by which positional arguments become keywords.
        """
        check_implementation(base, NAME, self.title)
        if self.training and torch.is_grad_enabled():
            check_trained(base, list(self.parameters()))
        call = {**dict(zip(names, args, strict=False)), **kwargs}
        call[PASS] = self._pass(base, call, cache_name(names))
        return (), call

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _pass(self, base: Any, call: dict[str, Any], cache_argument: str) -> Pass:
        """What one pass knows of positions. In `call`, the cache is created if the model would create one.

        Args:
            base: the model without its head.
            call: the arguments of its call.
            cache_argument: the model's name for its cache.
        """
        key, passed, prompts = (call.pop(name, None) for name in (KEYS, IDS, PROMPTS))
        self._check_call(base, call, passed, prompts)
        cache = cache_of(base, call, cache_argument)
        remembered = None if cache is None else Remembered.of(cache, self.shape.layers)
        tokens = tokens_of(call)
        earlier = 0 if remembered is None else remembered.length
        valid, documents = visible(call, tokens, earlier, remembered is not None)
        # From here on, tokens are all so far: where a digit stands in its number, only the whole text tells. The keys
        # are the first pass's, or a sample's draw would change in the midst of it. Prompts' lengths need be said once.
        if remembered is not None and remembered.tokens is not None:
            tokens, key = torch.cat([remembered.tokens, tokens], dim=1), remembered.key
            prompts = remembered.prompts if prompts is None else prompts.to(tokens.device)
        key = keys_of(tokens, key, self.training)
        text = self._text(tokens, valid, documents, key, prompts)
        given = given_ids(passed, self.ids_of, tokens, valid, earlier)
        if remembered is not None:
            remembered.check_given(given is not None)
        # A prompt is checked; what a model writes may be wrong, and must not end the other rows of a batch.
        if self.looks_at_digits and given is None and not earlier:
            check_digits(text, self.reading, tokens, self._notices)
        # Only ids of new tokens are used. Earlier ones stay what they were when the cached keys were computed.
        ids = [
            assign_ids(scheme, text, self.reading, self.settings.tokens)[..., earlier:]
            if given is None or not takes_given
            else check_levels(given, scheme.levels, self.title)
            for scheme, takes_given in zip(self.encoding.schemes, self.takes_given, strict=True)
        ]
        new = self._within_reach(tuple(ids), decoding=earlier > 0)
        positions = tuple(Positions(own, own, within_reach=True) for own in new)
        if remembered is not None:
            positions = remembered.extend(tokens, key, prompts, new)
        if not earlier and text.plain and not self.given_for_indices:
            # No padding inside, and no id beyond reach yet: ids are what the schemes say of them.
            positions = self.encoding.place(new)
        return Pass(self.encoding, positions, valid, documents, remembered, self.shape.head_width)

    def _check_call(self, base: Any, call: dict[str, Any], passed: Any, prompts: Any) -> None:
        """Raise if digits are looked at and cannot be seen, or ids are to be given and are not."""
        if prompts is not None and not self.looks_at_digits:
            raise UsageError(
                f"{PROMPTS} says where answers begin, and {self.title} does not look at digits: leave it out"
            )
        if passed is not None:
            if not any(self.takes_given):
                raise UsageError(
                    f"{self.title} was attached without ids= and has no scheme that looks at digits, whose ids {IDS} "
                    f"would be. Attach it for ids of your own: attach(model, ..., ids=True)"
                )
            return
        if self.settings.given and self.ids_of is None:
            raise UsageError(
                f"{self.title} was attached for ids of your own, and this call has none: model(..., {IDS}=...), in "
                f"generate too. A function that gives them serves all calls: attach(model, ..., ids=function)"
            )
        if self.looks_at_digits and call.get("input_ids") is None:
            raise UsageError(f"'{self.settings.encoding}' looks at digits, and inputs_embeds do not show them")
        if self.looks_at_digits and len(self.kind) != base.config.vocab_size:
            raise UsageError(
                f"the model has {base.config.vocab_size} tokens, and had {len(self.kind)} when {self.title} was "
                f"attached, which knows those. Detach it, and attach it again after model.resize_token_embeddings"
            )

    def _text(
        self,
        tokens: Int[Tensor, "b k"],
        valid: Bool[Tensor, "b k"] | None,
        documents: Int[Tensor, "b k"] | None,
        key: Int[Tensor, " b"],
        prompts: Int[Tensor, " b"] | None,
    ) -> Text:
        if self.looks_at_digits:
            kind, digits, ends_line = self.kind[tokens].long(), self.digits[tokens].long(), self.ends_line[tokens]
            if prompts is None:
                begins_answer, running = find_marks(tokens, self.marks), self.running
            else:  # a row is one problem, whatever lines, turns and marks its prompt has
                begins_answer, running = begins_behind(prompts, tokens), True
                ends_line = torch.zeros_like(ends_line)
            return Text(kind, digits, ends_line, begins_answer, running, valid, documents, key, not self.training)
        nothing = torch.zeros_like(tokens)
        never = nothing.bool()
        return Text(nothing, nothing, never, never, False, valid, documents, key, not self.training)

    def _within_reach(self, ids: tuple[Tensor, ...], decoding: bool) -> tuple[Tensor, ...]:
        """The ids, with 0 (no position) beyond what the encoding has tables for: refused, but while decoding."""
        beyond = self.encoding.beyond(ids)
        if beyond is None:
            return ids
        if not torch.compiler.is_compiling() and bool(beyond.any()):
            message = (
                f"{self.title} is attached for sequences of {self.settings.tokens} tokens and numbers of "
                f"{self.settings.digits or self.settings.tokens} digits, and here an id is "
                f"{max(int(levels.max()) for levels in ids)}. Attach it with larger tokens= and digits="
            )
            if not decoding:
                raise UsageError(message)
            # A number that a model never ends must not end the other rows of a batch.
            warnings.warn(f"{message}. Tokens beyond go on without positions", stacklevel=2)
        return tuple(levels.masked_fill(beyond, 0) for levels in ids)

    def _enter(
        self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], layer: int
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before a layer: apply what the encoding does to a layer's input, and before the first its embeddings."""
        current: Pass | None = kwargs.get(PASS)
        if current is None:
            raise UsageError(f"the model does not hand keyword arguments on to {type(block).__name__}")
        x, args, kwargs = split_hidden(args, kwargs)
        if layer == 0:
            x = self.encoding.embed(x, current.positions)
        return (self.encoding.at(layer).hidden(x, current.positions), *args), kwargs

    @property
    def prompts_argument(self) -> str | None:
        """The argument of the model's call that says where answers begin; None where digits are not looked at."""
        return PROMPTS if self.looks_at_digits else None

    def extra_repr(self) -> str:
        return f"{self.settings.encoding!r}, tokens={self.settings.tokens}"

    def __repr__(self) -> str:
        sizes = [(weight.numel(), weight.requires_grad) for weight in self.parameters()]
        trainable = sum(size for size, trained in sizes if trained)
        return f"Attachment({self.extra_repr()}, parameters={sum(size for size, _ in sizes)}, trainable={trainable})"

    @property
    def title(self) -> str:
        return f"'{self.settings.encoding}'"


def _hand_on_hidden(
    attention: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Before an attention module: pass its input on to the interface, for terms that look at content."""
    return args, {**kwargs, INPUT: split_hidden(args, kwargs)[0]}
