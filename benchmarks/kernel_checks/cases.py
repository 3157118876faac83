"""Cases of the proof: calls of attention that cover every term, mask, type, size and layout the kernels ship."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

# How inputs lie in memory: each of its own, "b h n d" in order; as projections over all heads leave them, "b n h d";
# slices of one such projection, beside ids and masks that are slices too; or of their own, with the gradient of a sum.
Layout = Literal["own", "token-major", "fused", "summed"]


@dataclass(frozen=True)
class Case:
    """One call of attention.

    Args:
        keys, queries: numbers of tokens; the queries are the last of the keys.
        terms: `alibi`, `table`, `pair`, `window` on token indices, and `asked`, a table that the query asks; `ids` (a
            table) and `id-window` on ids per sample.
        masks: any of `causal`, `valid` and `documents`.
        radius: reach of tables by distance.
        spread: largest id.
        layout: how the inputs lie in memory.
        state: width of what a query asks with.
        ends: whether the table that it asks goes on beyond `radius`.
        softcap: the limit of products; None: none.
        sinks: whether each query has a sink.
    """

    keys: int
    queries: int
    width: int = 16
    dtype: torch.dtype = torch.float32
    terms: tuple[str, ...] = ()
    masks: tuple[str, ...] = ("causal",)
    batch: int = 3
    heads: int = 2
    key_heads: int = 2
    radius: int = 5
    spread: int = 40
    layout: Layout = "own"
    state: int = 16
    ends: bool = True
    softcap: float | None = None
    sinks: bool = False

    def __str__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        given = "+".join((*self.terms, *self.masks)) or "plain"
        if "asked" in self.terms:
            given += f" {self.state} {'ends' if self.ends else 'zeros'} beyond {self.radius}"
        given += ("" if self.softcap is None else f" capped at {self.softcap}") + (" sinks" if self.sinks else "")
        layout = "" if self.layout == "own" else f" {self.layout}"
        return f"{self.queries}x{self.keys}x{self.width} {kind} {given}{layout}"


def cases(small: bool = True) -> Iterator[Case]:
    """Cases that cover what the kernels ship.

    Args:
        small: as the interpreter can run them in a minute; otherwise as a GPU can.
    """
    everything = ("alibi", "table", "pair", "window", "ids", "id-window")
    half = (torch.bfloat16, torch.float16)
    for n in (1, 17, 50, 63, 65, 100, 127, 128):
        yield Case(n, n)
        yield Case(n, n, terms=("table",), dtype=torch.bfloat16)
    for terms in (*((term,) for term in everything), everything):
        for dtype in (torch.float32, *half):
            yield Case(30, 30, dtype=dtype, terms=terms)
    for radius, spread in ((1, 9), (70, 150), (200, 150), (20, 1000)):
        yield Case(40, 40, terms=("ids",), radius=radius, spread=spread)
    for masks in ((), ("valid",), ("causal", "valid"), ("causal", "documents"), ("causal", "valid", "documents")):
        yield Case(20, 20, terms=("table",), masks=masks)
        yield Case(40, 40, terms=("ids",), masks=masks, dtype=torch.bfloat16)
    for width in (24, 64, 80, 128):
        yield Case(33, 33, width, terms=("table", "ids"), dtype=torch.bfloat16)
    for queries in (1, 7):
        yield Case(70, queries, terms=("table", "ids", "window"))
    yield Case(40, 40, terms=("table", "ids"), heads=4)
    yield Case(40, 40, terms=("table", "ids"), heads=4, dtype=torch.bfloat16)
    yield Case(9, 9, terms=("table", "ids"), batch=11)
    yield from short_scores()
    yield from laid_out(Case(20, 20, terms=("table", "ids"), dtype=torch.bfloat16))
    # Everything that differs between samples at once, in the largest tile: what needs most shared memory.
    fullest = Case(100, 100, terms=("ids", "id-window"), masks=("causal", "valid", "documents"), dtype=torch.bfloat16)
    yield fullest
    if not small:
        for n in (64, 128):
            yield replace(fullest, keys=n, queries=n, width=64, batch=20)
            yield from laid_out(Case(n, n, 64, torch.bfloat16, ("table", "ids", "id-window"), batch=20, heads=4))
        for n in (32, 62, 64, 128):
            for width in (64, 128):
                for terms in ((), ("table",), ("pair",), ("ids",), ("ids", "id-window")):
                    yield Case(n, n, width, torch.bfloat16, terms, batch=300, heads=12, key_heads=12, radius=64)
        yield Case(16, 16, 64, torch.bfloat16, ("table",), batch=70_000, heads=2)
        yield Case(128, 128, 32, torch.float32, ("table", "ids"), batch=50)


def short_scores() -> Iterator[Case]:
    """Sinks, caps, and tables that the query asks, up to 128 tokens."""
    for dtype in (torch.float32, torch.bfloat16):
        yield Case(9, 9, dtype=dtype, masks=("causal", "valid"), sinks=True, batch=5)
        yield Case(40, 40, dtype=dtype, terms=("table", "ids"), masks=(), sinks=True, softcap=1.5)
        for n in (9, 30, 60 if dtype == torch.float32 else 100):
            yield Case(n, n, dtype=dtype, terms=("asked",), batch=5 if n == 9 else 3)
            yield Case(n, n, dtype=dtype, terms=("asked",), masks=(), ends=False, state=8, batch=5 if n == 9 else 3)
        yield Case(20, 20, 24, dtype=dtype, terms=("asked", "table", "ids", "window"), masks=("valid",), state=24)
    for queries in (1, 7):
        yield Case(70, queries, 16, torch.float16, ("asked",), ("causal", "documents"), radius=40, state=40)
        yield Case(20, queries, terms=("asked",), masks=(), radius=40, batch=5)
    yield Case(33, 33, 64, torch.float16, ("asked", "table"), radius=200, state=64, sinks=True, softcap=30.0)
    yield Case(33, 33, 32, terms=("asked",), heads=4, radius=1, ends=False, layout="fused")


def long_cases(small: bool = True) -> Iterator[Case]:
    """The same for sequences of several tiles; small, so that the interpreter takes some seconds for each."""
    few: dict[str, Any] = {"batch": 1, "heads": 2, "key_heads": 1}
    everything = ("alibi", "table", "window", "ids", "id-window")
    yield Case(129, 129, **few)
    yield Case(200, 200, masks=(), dtype=torch.bfloat16, **few)
    for radius in (5, 70, 300):
        yield Case(200, 200, terms=("table",), radius=radius, dtype=torch.bfloat16, **few)
    yield Case(200, 200, terms=("table",), masks=(), radius=30, **few)
    yield Case(200, 200, terms=("window", "table"), masks=(), dtype=torch.float16, radius=30, **few)
    for masks in (("valid",), ("causal", "documents")):
        yield Case(140, 140, terms=("table",), masks=masks, **few)
    yield Case(140, 140, terms=("ids",), radius=70, spread=90, dtype=torch.bfloat16, **few)
    yield Case(190, 190, terms=("id-window", "ids"), spread=60, **few)
    for queries in (1, 70):
        yield Case(150, queries, terms=("table", "ids", "window"), **few)
    yield Case(140, 140, 80, terms=("table",), dtype=torch.float16, **few)
    yield Case(150, 150, terms=("pair",), masks=("valid",), **few)
    yield Case(140, 130, terms=("pair", "table", "window"), dtype=torch.bfloat16, batch=3, heads=2, key_heads=1)
    yield Case(140, 140, terms=everything, masks=("valid",), dtype=torch.bfloat16, batch=2, heads=1, key_heads=1)
    yield Case(140, 140, terms=("table", "ids"), masks=("causal", "documents"), layout="fused", **few)
    yield Case(200, 200, terms=("asked",), radius=70, ends=False, dtype=torch.bfloat16, **few)
    yield Case(150, 150, terms=("asked", "table"), masks=(), radius=20, state=10, dtype=torch.bfloat16, **few)
    more: dict[str, Any] = {"sinks": True, "softcap": 2.0}
    yield Case(140, 130, terms=("asked", "window"), masks=("valid",), radius=200, ends=False, **more, **few)
    yield Case(140, 140, terms=("table",), masks=("causal", "documents"), sinks=True, dtype=torch.float16, **few)
    if not small:
        fullest = Case(700, 700, 64, torch.bfloat16, ("table", "ids", "id-window"), ("causal", "valid", "documents"))
        yield from (fullest, *laid_out(fullest))
        for n in (1000, 2048):
            for width in (64, 128):
                for terms in ((), ("table",), ("ids",), ("table", "ids", "id-window")):
                    for radius in (32, n):
                        yield Case(n, n, width, torch.bfloat16, terms, batch=2, heads=4, radius=radius)
        yield Case(700, 700, 64, torch.float32, ("table", "ids"), radius=64)
        yield Case(700, 700, 128, torch.float32, ("table", "window"), ())
        for n, radius in ((1000, 64), (2048, 1023)):
            for width, state in ((64, 64), (128, 16), (128, 128)):
                asked: dict[str, Any] = {"radius": radius, "state": state, **(more if state == 16 else {})}
                yield Case(n, n, width, torch.bfloat16, ("asked",), batch=2, ends=False, **asked)
                yield Case(n, n, width, torch.bfloat16, ("asked", "table", "window"), batch=2, **asked)
        yield Case(700, 700, 64, terms=("asked",), masks=("causal", "documents"), radius=64)
        yield Case(4096, 4096, 64, torch.bfloat16, ("table", "ids", "id-window"), batch=1, radius=64)
        yield Case(8192, 8192, 64, torch.bfloat16, ("table",), radius=128, **few)


def laid_out(case: Case) -> Iterator[Case]:
    """A case in each of the other layouts."""
    yield replace(case, layout="token-major")
    yield replace(case, layout="fused")
    yield replace(case, layout="summed")
