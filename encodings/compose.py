"""Several encodings as one, each on the ids of its own position scheme."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from arith.encodings.base import Encoding, LayerEncoding, Memory, Positions
from arith.encodings.fitting import (
    check_length,
    check_on,
    check_positions,
    check_prompt,
    check_together,
    longest_on,
)
from arith.encodings.positions import Prompt, Reading, Scheme, State
from arith.kernels.terms import Term

Ids = tuple[Int[Tensor, "levels b n"], ...]  # one tensor for each distinct scheme


@dataclass(frozen=True)
class Part:
    """An encoding and the scheme whose ids it uses."""

    encoding: Encoding
    scheme: Scheme

    def __post_init__(self) -> None:
        check_on(self.encoding, self.scheme)


class Composed(nn.Module):
    """What a model takes: encodings that act one after the other. Parts with equal schemes share ids.

    Attributes:
        longest: for each scheme the tokens of the longest sequence whose ids can be encoded, however short its
            numbers are; None: no limit.

    Raises:
        ValueError: the parts spoil one another, as rotations and learned keys do.

    >>> from arith.encodings.nope import NoPE
    >>> from arith.encodings.positions import Sequential
    >>> len(Composed([Part(NoPE(), Sequential()), Part(NoPE(), Sequential())]).schemes)
    1
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        check_together([(part.encoding, part.scheme) for part in parts])
        # Schemes are equal if their settings are. Those of a kind are asked once, and their parts get the same tensors,
        # by which kernels know that ids are shared. A dict keeps the order in which they are written.
        self.schemes: tuple[Scheme, ...] = tuple(dict.fromkeys(part.scheme for part in parts))
        self.which = [self.schemes.index(part.scheme) for part in parts]
        self.parts = nn.ModuleList(part.encoding for part in parts)
        # Found once: passes compare the number of their tokens with it and look at no id, which would wait for a GPU.
        limits = [(part.scheme, longest_on(part.encoding, part.scheme)) for part in parts]
        self.longest = tuple(
            min((limit for own, limit in limits if own == scheme and limit is not None), default=None)
            for scheme in self.schemes
        )

    @property
    def structure_aware(self) -> bool:
        """Whether ids say which digits belong together."""
        return any(scheme.structure_aware for scheme in self.schemes)

    @property
    def slides(self) -> bool:
        """Whether ids depend on the loop."""
        return any(_slides(scheme) for scheme in self.schemes)

    def encodings(self) -> list[tuple[Encoding, int]]:
        """Each encoding with the place of its scheme."""
        return [(part, which) for part, which in zip(self.parts, self.which, strict=True) if isinstance(part, Encoding)]

    def check(self, reading: Reading) -> None:
        """Raise if numbers written like this cannot have the ids of these schemes."""
        for scheme in self.schemes:
            scheme.check(reading)

    def check_reach(self, tokens: int, digits: int) -> None:
        """Raise if sequences or numbers of these lengths are beyond what can be encoded."""
        for encoding, which in self.encodings():
            scheme = self.schemes[which]
            highest = scheme.highest(tokens, digits)
            if encoding.reach is not None and highest > encoding.reach:
                raise ValueError(
                    f"{encoding.title} has position ids up to {encoding.reach}. Sequences of {tokens} tokens "
                    f"with numbers of {digits} digits need {highest} on {type(scheme).__name__} positions"
                )

    def full(self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int) -> Ids:
        """Ids of whole sequences, one tensor for each scheme. Of ordinary text, `sequential` gives positions at once.

        Args:
            prompt: how far each prompt goes, and how its numbers stand; `arith.problems(...).batch(...).prompt`.
            tokens: prompts and answers.
            key: a random number for each sample, from which schemes draw: equal keys, equal draws.
            capacity: tokens of the longest sequence that these prompts may grow to, whatever is in the batch.

        Raises:
            ValueError: there is no prompt.

        >>> from arith.catalogue.build import encoding
        >>> from arith.data.dataset import problems
        >>> batch = problems("addition", "reversed", digits="1-4", seed=0).batch(0, 8)
        >>> composed = encoding("t5@coupled+rope", width=64, heads=4, layers=2)
        >>> [tuple(ids.shape) for ids in composed.full(batch.prompt, batch.tokens, batch.key, batch.capacity)]
        [(1, 8, 13), (1, 1, 13)]
        """
        check_prompt(prompt)
        return tuple(scheme.full(prompt, tokens, key, capacity) for scheme in self.schemes)

    def start(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> tuple[Ids, tuple[State, ...]]:
        """Ids of prompts of equal length, "levels b n" for each scheme, and the states from which `step` goes on.

        Args:
            prompt, key, capacity: as for `full`.
        """
        check_prompt(prompt)
        ids, states = zip(*(scheme.start(prompt, key, capacity) for scheme in self.schemes), strict=True)
        return ids, states

    def step(self, token: Int[Tensor, " b"], states: tuple[State, ...]) -> tuple[Ids, tuple[State, ...]]:
        """Ids of one more token of each sample, "levels b 1" for each scheme, and the next states.

        A sequence that goes on may outgrow what can be encoded: `beyond` says where.

        >>> from arith.catalogue.build import encoding
        >>> from arith.data.dataset import problems
        >>> batch = problems("addition", "reversed", digits="2-2", seed=0).batch(0, 1)
        >>> composed = encoding("rope", width=64, heads=4, layers=2)
        >>> ids, states = composed.start(batch.prompt, batch.key, batch.capacity)
        >>> composed.step(torch.tensor([3]), states)[0]
        (tensor([[[8]]]),)
        """
        stepped = [scheme.step(token, state) for scheme, state in zip(self.schemes, states, strict=True)]
        ids, after = zip(*stepped, strict=True)
        return ids, after

    def place(self, ids: Ids) -> tuple[Positions, ...]:
        """The positions of tokens whose ids the schemes gave, as queries and as keys.

        Args:
            ids: "levels b n" for each scheme, as `full`, `start` and `step` give them. Ids of your own, and ids with 0
                for padding, go into `Positions` directly, one for each scheme.

        Raises:
            ValueError: there are not as many ids as schemes, or more tokens than can be encoded.
        """
        if isinstance(ids, Tensor) or len(ids) != len(self.schemes):
            got = f"a tensor of {tuple(ids.shape)}" if isinstance(ids, Tensor) else f"{len(ids)}"
            raise ValueError(f"ids are a tuple of one tensor for each of {len(self.schemes)} schemes: got {got}")
        for own, longest in zip(ids, self.longest, strict=True):
            check_length(own.shape[-1], longest)
        pairs = zip(ids, self.schemes, strict=True)
        return tuple(Positions(own, own, indexes_tokens(scheme), within_reach=True) for own, scheme in pairs)

    def sequential(self, valid: Bool[Tensor, "b n"]) -> tuple[Positions, ...]:
        """The positions of ordinary text, with padding on either side: 1, 2, 3 and so on over the tokens of each row.

        Args:
            valid: False marks padding, whose id is 0; of all tokens so far, those in a cache included.

        With a cache of m earlier tokens and n new ones, `rotate`, `hidden` and `embed` take `own.last(n, n)` of each of
        these positions, and `terms` takes `own.last(n)`.

        Raises:
            ValueError: a scheme gives other ids than these, or there are more tokens than can be encoded.

        >>> from arith.catalogue.build import encoding
        >>> valid = torch.tensor([[False, True, True], [True, True, True]])
        >>> encoding("rope+t5", width=64, heads=4, layers=2).sequential(valid)[0].q.tolist()
        [[[0, 1, 2], [1, 2, 3]]]
        """
        for scheme in self.schemes:
            if not (indexes_tokens(scheme) and scheme.highest(1, 1) == 1):
                raise ValueError(
                    f"{type(scheme).__name__} positions are not the indices of tokens: take ids from full(...), and "
                    f"positions from place(ids)"
                )
        for longest in self.longest:
            check_length(valid.shape[1], longest)
        ids = (valid.long().cumsum(-1) * valid)[None]
        return (Positions(ids, ids, within_reach=True),) * len(self.schemes)

    def beyond(self, ids: Ids) -> Bool[Tensor, "#b n"] | None:
        """Where ids are larger than can be encoded, as a number that never ends gets; None: nowhere."""
        # Ids are looked at, not lengths: a model that never writes its end goes beyond any length that was checked.
        over = [
            (ids[which][: encoding.levels] > encoding.reach).any(0)
            for encoding, which in self.encodings()
            if encoding.reach
        ]
        return None if not over else functools.reduce(torch.logical_or, over)

    def embed(self, x: Float[Tensor, "b n w"], positions: Sequence[Positions]) -> Float[Tensor, "b n w"]:
        """Once, at the input."""
        check_positions(positions, self.longest)
        for encoding, which in self.encodings():
            x = encoding.embed(x, positions[which])
        return x

    def slide(self, positions: Sequence[Positions], loop: int | Int[Tensor, "#b 1"]) -> tuple[Positions, ...]:
        """Where tokens stand in a loop, counted from 0: the ids of most schemes stay."""
        pairs = zip(positions, self.schemes, strict=True)
        return tuple(own.slide(loop) if _slides(scheme) else own for own, scheme in pairs)

    def move(self, ids: Ids, by: int) -> Ids:
        """All ids but 0, which stays "no position", moved."""
        found = []
        for own, scheme in zip(ids, self.schemes, strict=True):
            further = own + by * (own > 0)
            if _slides(scheme):
                further[1] = own[1]  # no ids but steps
            found.append(further)
        return tuple(found)

    @property
    def lanes(self) -> int:
        """How many tokens a token takes in the first layer, if ids decide which ones; 0: it attends."""
        return sum(encoding.looks_up for encoding, _ in self.encodings())

    def at(self, layer: int, loop: int = 0) -> "ComposedLayer":
        parts = [(encoding.at(layer, loop), which) for encoding, which in self.encodings()]
        return ComposedLayer(parts, self.longest)


def indexes_tokens(scheme: Scheme) -> bool:
    """Whether a scheme says that its ids index tokens."""
    return getattr(scheme, "indexes_tokens", False)  # as below


def _slides(scheme: Scheme) -> bool:
    return getattr(scheme, "slides", False)  # a scheme of one's own need not know of loops


@dataclass(frozen=True)
class ComposedLayer:
    """The encodings inside one layer, each with the place of its scheme."""

    parts: list[tuple[LayerEncoding, int]]
    longest: tuple[int | None, ...]

    def hidden(self, x: Float[Tensor, "b n w"], positions: Sequence[Positions]) -> Float[Tensor, "b n w"]:
        """At the layer's input."""
        check_positions(positions, self.longest)
        for encoding, which in self.parts:
            x = encoding.hidden(x, positions[which])
        return x

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Sequence[Positions]
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        """Queries and keys before their product. While decoding, `k` and `positions` are of the new tokens alone."""
        check_positions(positions, self.longest)
        for own in positions:
            if (own.q.shape[2], own.k.shape[2]) != (q.shape[2], k.shape[2]):
                raise ValueError(
                    f"positions are of {own.q.shape[2]} queries and {own.k.shape[2]} keys, and there are {q.shape[2]} "
                    f"and {k.shape[2]}. Keys that a cache holds are rotated already: of n new tokens rotate these "
                    f"alone, with positions.last(n, n)"
                )
        for encoding, which in self.parts:
            q, k = encoding.rotate(q, k, positions[which])
        return q, k

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Sequence[Positions],
        memory: Memory,
    ) -> tuple[Term, ...]:
        """What is added to the scores; for the arguments see `LayerEncoding.terms`."""
        check_positions(positions, self.longest)
        found: list[Term] = []
        for place, (encoding, which) in enumerate(self.parts):
            # A memory of its own for each part: two parts may keep something under the same name.
            found += encoding.terms(x, q, k, positions[which], memory.setdefault(str(place), {}))
        return tuple(found)

    def taken(self, positions: Sequence[Positions]) -> Int[Tensor, "#b q lanes"]:
        """The tokens that each query takes in a first layer that looks up, one a lane; -1 where there is none."""
        lanes = [encoding.taken(positions[which]) for encoding, which in self.parts]
        found = [own for own in lanes if own is not None]
        rows = max(len(own) for own in found)
        return torch.stack([own.expand(rows, -1) for own in found], dim=2)
