"""Several encodings as one, each on the ids of its own position scheme."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from arith.encodings.base import Encoding, LayerEncoding, Memory, Positions
from arith.encodings.fitting import check_on, check_together
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
        return tuple(scheme.full(prompt, tokens, key, capacity) for scheme in self.schemes)

    def start(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> tuple[Ids, tuple[State, ...]]:
        ids, states = zip(*(scheme.start(prompt, key, capacity) for scheme in self.schemes), strict=True)
        return ids, states

    def step(self, token: Int[Tensor, " b"], states: tuple[State, ...]) -> tuple[Ids, tuple[State, ...]]:
        stepped = [scheme.step(token, state) for scheme, state in zip(self.schemes, states, strict=True)]
        ids, after = zip(*stepped, strict=True)
        return ids, after

    def place(self, ids: Ids) -> tuple[Positions, ...]:
        """The positions of tokens whose ids the schemes gave, as queries and as keys."""
        pairs = zip(ids, self.schemes, strict=True)
        return tuple(Positions(own, own, indexes_tokens(scheme)) for own, scheme in pairs)

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
        return ComposedLayer([(encoding.at(layer, loop), which) for encoding, which in self.encodings()])


def indexes_tokens(scheme: Scheme) -> bool:
    """Whether a scheme says that its ids index tokens."""
    return getattr(scheme, "indexes_tokens", False)  # as below


def _slides(scheme: Scheme) -> bool:
    return getattr(scheme, "slides", False)  # a scheme of one's own need not know of loops


@dataclass(frozen=True)
class ComposedLayer:
    """The encodings inside one layer."""

    parts: list[tuple[LayerEncoding, int]]

    def hidden(self, x: Float[Tensor, "b n w"], positions: Sequence[Positions]) -> Float[Tensor, "b n w"]:
        for encoding, which in self.parts:
            x = encoding.hidden(x, positions[which])
        return x

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Sequence[Positions]
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
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
