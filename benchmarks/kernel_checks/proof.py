"""The fused kernels against float64: the errors that are allowed, and those that cases have.

The reference computes each case twice: in float64 from the same rounded inputs, which counts as exact, and in the
inputs' own type, whose error is the measure for that of the kernels. Gradients of tables are 32-bit sums however short
the inputs are, and so have a bound of their own. Tests run this in Triton's interpreter, `make gpu-kernels` on a GPU.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from kernel_checks.cases import Case, Layout
from torch import Tensor
from torch.nn import functional

from arith.kernels.attention import attention
from arith.kernels.routing import Backend
from arith.kernels.terms import DistanceTable, Ids, PairTable, QueryTable, Term, Window

# Of the error of torch in the inputs' type: as in flash-attention's tests, and a margin in units of the largest value.
OUTPUT_RATIO, GRADIENT_RATIO, MARGIN = 2.0, 3.0, 1e-5
TABLE_ERROR = 1e-4  # of the largest entry


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
