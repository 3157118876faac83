"""The fused kernels against float64: cases of every term, mask, type and size, and the errors that are allowed.

The reference computes each case twice: in float64 from the same rounded inputs, which counts as exact, and in the
inputs' own type, whose error is the measure for that of the kernels. Gradients of tables are 32-bit sums however short
the inputs are, and so have a bound of their own. Tests run this in Triton's interpreter, `make gpu-kernels` on a GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from arith.kernels.attention import attention
from arith.kernels.routing import Backend
from arith.kernels.terms import DistanceTable, Ids, PairTable, QueryTable, Term, Window

# Of the error of torch in the inputs' type: as in flash-attention's tests, and a margin in units of the largest value.
OUTPUT_RATIO, GRADIENT_RATIO, MARGIN = 2.0, 3.0, 1e-5
TABLE_ERROR = 1e-4  # of the largest entry
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


@dataclass(frozen=True)
class Finding:
    """How one result of a case compares.

    Args:
        name: `out`, or the input whose gradient it is.
        error: largest difference from float64.
        allowed: largest error that counts as right.
    """

    name: str
    error: float
    allowed: float

    @property
    def right(self) -> bool:
        return self.error <= self.allowed


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
        for n in (9, 30, 100):
            yield Case(n, n, dtype=dtype, terms=("asked",), batch=5 if n == 9 else 3)
            yield Case(n, n, dtype=dtype, terms=("asked",), masks=(), ends=False, state=8, batch=5 if n == 9 else 3)
        yield Case(20, 20, 24, dtype=dtype, terms=("asked", "table", "ids", "window"), masks=("valid",), state=24)
    for queries in (1, 7):
        yield Case(70, queries, terms=("asked",), masks=("causal", "documents"), radius=40, state=40)
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


def findings(case: Case, device: torch.device, backend: Backend = "auto", runs: int = 2) -> list[Finding]:
    """Run one case forward and backward, and compare; `runs` times, of which each must give the same bits."""
    ours, theirs, exact = (
        results(case, device, kind, which)
        for kind, which in ((case.dtype, backend), (case.dtype, "reference"), (torch.float64, "reference"))
    )
    found = []
    differing = dict.fromkeys(ours, 0)
    for _ in range(runs - 1):
        again = results(case, device, case.dtype, backend)
        for name, values in ours.items():
            differing[name] = max(differing[name], int((values != again[name]).sum()))
    for name, count in differing.items():
        found.append(Finding(f"{name}, bits that differ in another run", count, 0))
    for name, truth in exact.items():
        size = max(float(truth.abs().max()), 1e-30)
        error, measure = (float((values[name].double() - truth).abs().max()) for values in (ours, theirs))
        if name in ("q", "k", "v", "out", "states", "asked"):  # what tensor cores multiply, in the inputs' type
            ratio = OUTPUT_RATIO if name == "out" else GRADIENT_RATIO
            allowed = ratio * measure + MARGIN * size
        else:
            allowed = TABLE_ERROR * size
        # Written so that NaN is wrong.
        found.append(Finding(name, error if error >= 0 else float("inf"), allowed))
    return found


@lru_cache(maxsize=1)  # a case runs many times, and normal numbers for the largest take seconds
def drawn(case: Case, device: torch.device) -> dict[str, Tensor]:
    """What a case is computed from, in float32: the inputs, tables for every term, ids and masks."""
    generator = torch.Generator(device).manual_seed(len(str(case)) * 1009 + case.keys)
    b, h, g, d = case.batch, case.heads, case.key_heads, case.width
    slots = 2 * case.radius + 2
    sizes = {
        "q": (b, h, case.queries, d),
        "k": (b, g, case.keys, d),
        "v": (b, g, case.keys, d),
        "dout": (b, h, case.queries, d),
        "alibi": (h, 1),
        "table": (h, slots),
        "pair": (h, case.keys, case.keys) if "pair" in case.terms else (0,),
        "slots": (h, slots),
        "states": (b, h, case.queries, case.state),
        "asked": (h, slots - 1, case.state),
        "sinks": (b, h, case.queries),
    }
    found = {name: torch.randn(size, generator=generator, device=device) for name, size in sizes.items()}
    tokens = (b, case.keys)
    found["ids"] = torch.randint(0, case.spread + 1, tokens, generator=generator, device=device)
    found["valid"] = torch.rand(tokens, generator=generator, device=device) > 0.3
    found["documents"] = torch.randint(0, 3, tokens, generator=generator, device=device).sort(1)[0]
    if case.layout == "fused":
        found |= {name: found[name].repeat_interleave(2, dim=1)[:, ::2] for name in ("ids", "valid", "documents")}
    return found


def results(case: Case, device: torch.device, dtype: torch.dtype, backend: Backend) -> dict[str, Float[Tensor, "..."]]:
    """The output and all gradients, computed in a type from inputs rounded to the case's."""
    source = drawn(case, device)
    rounded = [source[name].to(case.dtype).to(dtype) for name in "qkv"]
    inputs = dict(zip("qkv", in_layout(rounded, case.layout), strict=True))
    dout = source["dout"].to(case.dtype).to(dtype)
    if case.layout == "summed":
        dout = torch.ones_like(dout[:1, :1, :1, :1]).expand_as(dout)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    tables = {"alibi": source["alibi"].abs(), "table": source["table"], "pair": source["pair"], "ids": source["slots"]}
    # Values that are multiplied with what queries bring are rounded as keys are, and so are those that count as exact.
    tables |= {"asked": source["asked"].to(case.dtype), "sinks": source["sinks"]}
    learned = (*case.terms, *(("sinks",) if case.sinks else ()))
    tables = {name: values.to(wide).detach() for name, values in tables.items() if name in learned}
    if "asked" in tables:
        tables["states"] = source["states"].to(case.dtype).to(dtype)
    ids = Ids(source["ids"][:, case.keys - case.queries :], source["ids"])
    given = {**inputs, **tables}
    for values in given.values():
        values.requires_grad_()
    made: dict[str, Term] = {
        "window": Window(max(1, case.keys // 2), 1),
        "id-window": Window(case.spread // 2, case.spread // 3, ids),
    }
    if "alibi" in tables:
        distance = torch.arange(-case.keys, case.keys + 2, device=device).abs().to(wide)
        made["alibi"] = DistanceTable(-tables["alibi"] * distance)
    for name, place in (("table", None), ("ids", ids)):
        if name in tables:
            made[name] = DistanceTable(tables[name], place)
    if "pair" in tables:
        made["pair"] = PairTable(tables["pair"])
    if "asked" in tables:
        made["asked"] = QueryTable(tables["states"], tables["asked"], -case.radius, case.ends)
    out = attention(
        inputs["q"],
        inputs["k"],
        inputs["v"],
        terms=tuple(made[name] for name in case.terms),
        causal="causal" in case.masks,
        valid=source["valid"] if "valid" in case.masks else None,
        documents=source["documents"] if "documents" in case.masks else None,
        softcap=case.softcap,
        sinks=tables.get("sinks"),
        backend=backend,
    )
    gradients = torch.autograd.grad(out, list(given.values()), dout)
    return {"out": out.detach(), **dict(zip(given, gradients, strict=True))}


def in_layout(inputs: list[Float[Tensor, "b h n d"]], layout: Layout) -> list[Float[Tensor, "b h n d"]]:
    """Queries, keys and values, the same numbers in another layout, as leaves of a graph."""
    if layout == "token-major":
        inputs = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs]
    elif layout == "fused":  # queries may be fewer: theirs are the last rows, beside NaN
        n = max(x.shape[2] for x in inputs)
        rows = [functional.pad(x, (0, 0, n - x.shape[2], 0), value=torch.nan).transpose(1, 2) for x in inputs]
        projected = torch.cat(rows, dim=2)
        sizes = [x.shape[1] for x in inputs]
        parts = zip(projected.split(sizes, dim=2), inputs, strict=True)
        inputs = [part[:, n - x.shape[2] :].transpose(1, 2) for part, x in parts]
    return [x.detach() for x in inputs]
