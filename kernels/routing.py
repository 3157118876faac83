"""Which implementation runs a call of attention, and why."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from arith.kernels import toolchain, windowed
from arith.kernels.configs import LONGEST, WIDEST, capability, constant_in_graphs, too_large, unfit
from arith.kernels.terms import DistanceTable, Ids, PairTable, QueryTable, Term, Window

Backend = Literal["auto", "triton", "reference"]
Route = Literal["triton", "windowed", "reference"]
# Where the fused kernels find the scores that terms add; see README.md.
PLAIN = "plain", "nothing is added to scores"
TILE = "tile", "all samples have the same scores to add"
TOKEN_TABLE = "token table", "scores go by distance between tokens"
ID_TABLE = "id table", "scores go by distance between ids"
QUERY_TABLE = "query table", "queries ask for scores by distance between tokens"
ADDED = TILE, TOKEN_TABLE, ID_TABLE, QUERY_TABLE
MOST_SLOTS = 2048  # of a table that queries ask, beyond 128 tokens


class Choice(NamedTuple):
    """What runs a call of attention.

    Args:
        route: which implementation.
        kernel: by what the fused kernels add scores: "plain", "tile", "token table", "id table", "query table", or some
            of them, joined by "and"; otherwise the route again.
        why: the reason.
    """

    route: Route
    kernel: str
    why: str


def route(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    terms: Sequence[Term] = (),
    backend: Backend = "auto",
    dropout: float = 0,
    softcap: float | None = None,
    sinks: Float[Tensor, "b h q"] | None = None,
) -> Choice:
    """Which implementation runs a call, by which kernel, and why.

    "windowed" is the reference without most of the pairs that windows hide. The first call on a Hopper device warns if
    the compilers of the kernels are known to make wrong code for it.

    Raises:
        ValueError: the backend does not exist, or cannot run the call.

    >>> import torch
    >>> q = torch.zeros(1, 2, 8, 16)
    >>> route(q, q, q).why
    'tensors on a cpu run in plain torch'
    """
    if backend not in ("auto", "triton", "reference"):
        raise ValueError(f"no attention backend is called {backend!r}. Backends: auto, triton, reference")
    if backend == "reference":
        return Choice("reference", "reference", "asked for")
    why_not = _obstacle(q, k, v, terms, interpreted=backend == "triton" and _interpreting())
    if dropout:
        why_not = "weights are dropped in plain torch"
    if why_not is None:
        if q.device.type == "cuda" and capability(q.device) == toolchain.SM90:
            _warn_of_wrong_code()
        return Choice("triton", *choose_kernel(terms, k.shape[2]))
    if backend == "triton":
        raise ValueError(f"the fused kernels cannot run this: {why_not}. Use backend='auto' or 'reference'")
    fallback: Route = "windowed" if not dropout and windowed.takes(terms, k.shape[2]) else "reference"
    return Choice(fallback, fallback, why_not)


def choose_kernel(terms: Sequence[Term], keys: int) -> tuple[str, str]:
    """The kernel that a device on which the fused kernels run takes for these terms, and why; as in `Choice`.

    >>> import torch
    >>> choose_kernel([DistanceTable(torch.zeros(2, 8))], keys=300)
    ('token table', 'scores go by distance between tokens')
    """
    terms = drop_token_ids(terms)
    why_not = _obstacle_in_terms(terms, keys)
    if why_not is not None:
        return "reference", why_not
    found = set()
    for term in terms:
        ids: Ids | None = getattr(term, "ids", None)
        if isinstance(term, QueryTable):
            found.add(QUERY_TABLE)
        elif isinstance(term, PairTable) or (keys <= LONGEST and (ids is None or ids.shared)):
            found.add(TILE)
        elif isinstance(term, DistanceTable):
            found.add(TOKEN_TABLE if ids is None else ID_TABLE)
    kernels, reasons = zip(*([own for own in ADDED if own in found] or [PLAIN]), strict=True)
    return " and ".join(kernels), ", ".join(reasons)


def drop_token_ids(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The same terms, those on distances without ids that index tokens.

    A table by pairs keeps them: it looks at the ids themselves, which may be moved.

    >>> import torch
    >>> ids = Ids(torch.tensor([[9]]), torch.tensor([[8, 9]]), indexes_tokens=True)
    >>> drop_token_ids([Window(1, 0, ids)])
    (Window(left=1, right=0, ids=None),)
    """
    # A flag says it, not the ids: to look at these would wait for the device.
    found: list[Term] = []
    for term in terms:
        if isinstance(term, DistanceTable | QueryTable | Window) and term.ids is not None:
            term = replace(term, ids=None) if term.ids.indexes_tokens else term
        found.append(term)
    return tuple(found)


def _obstacle(q: Tensor, k: Tensor, v: Tensor, terms: Sequence[Term], interpreted: bool) -> str | None:
    """Why the fused kernels cannot take a call; None if they can."""
    # Cheap questions first; those to the device only where there is one.
    if q.device.type != "cuda" and not interpreted:
        return f"tensors on a {q.device.type} run in plain torch"
    if find_spec("triton") is None:
        return "triton is not installed"
    if v.shape[3] != q.shape[3]:
        return "the fused kernels take heads of one width for queries and values"
    if 0 in q.shape or 0 in k.shape:
        return "there is nothing to compute"
    dtype = working_dtype(q, k, v)
    if dtype is None:
        return f"queries, keys and values are of different types: {q.dtype}, {k.dtype}, {v.dtype}"
    if dtype not in (torch.float32, torch.bfloat16, torch.float16) and not interpreted:
        return f"{dtype} runs in plain torch"
    if q.device.type == "cuda":
        if (why_not := unfit(q.device)) is not None:
            return why_not
        if dtype == torch.float32 and capability(q.device) < 90:
            return "numbers of 32 bits need a GPU of compute capability 9.0 for the fused kernels"
    in_a_tile = k.shape[2] if k.shape[2] <= LONGEST else 1  # longer ones go tile by tile, and are never too many
    state = max([0, *[term.states.shape[3] for term in terms if isinstance(term, QueryTable)]])
    return too_large(in_a_tile, q.shape[3], dtype.itemsize, state) or _obstacle_in_terms(
        drop_token_ids(terms), k.shape[2]
    )


def working_dtype(q: Tensor, k: Tensor, v: Tensor) -> torch.dtype | None:
    """The type a call is computed in: autocast's where that is on, but for float64; None if the types differ."""
    given = {x.dtype for x in (q, k, v)}
    if torch.is_autocast_enabled(q.device.type) and torch.float64 not in given:
        return torch.get_autocast_dtype(q.device.type)
    return q.dtype if len(given) == 1 else None


@constant_in_graphs  # in which no process can be started
def _warn_of_wrong_code() -> None:
    _warn_once()


@cache
def _warn_once() -> None:
    wrong = toolchain.known_wrong(toolchain.triton_version(), toolchain.ptxas_version())
    if wrong is not None:
        warnings.warn(
            f"the fused kernels may be wrong on this GPU: {wrong}. `make gpu-kernels` shows whether they are. Nothing "
            "such is known of triton 3.9, or of 3.7.1 with TRITON_PTXAS_PATH set to a ptxas of 13.3 or later; "
            "backend='reference' runs in plain torch",
            stacklevel=5,
        )


def _interpreting() -> bool:
    """Whether Triton interprets kernels, so that they run without a GPU: slow, and meant for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _obstacle_in_terms(terms: Sequence[Term], keys: int) -> str | None:
    """Why the fused kernels cannot take these terms; None if they can."""
    tables: list[Ids] = []
    windows = asked = 0
    many = keys > LONGEST
    for term in terms:
        if not isinstance(term, DistanceTable | PairTable | Window | QueryTable):
            return f"{type(term).__name__} runs in plain torch only"
        if isinstance(term, Window) and min(term.left, term.right) < 0:
            return "a window that leaves out the token itself runs in plain torch only"
        if many and isinstance(term, PairTable) and term.ids is not None:
            return f"a table by pairs of ids, of more than {LONGEST} tokens, runs in plain torch only"
        if isinstance(term, QueryTable):
            asked += 1
            if (why_not := _obstacle_in_query_table(term, many)) is not None:
                return why_not
        # Up to 128 tokens, whatever all samples share is folded into one tile, however many terms there are.
        if term.ids is None or (term.ids.shared and not many):
            continue
        match term:
            case PairTable():
                return "a table by pairs of ids that differ between samples runs in plain torch only"
            case DistanceTable():
                tables.append(term.ids)
            case Window():
                windows += 1
    which = "ids" if many else "ids that differ between samples"
    # Tensors are compared by identity: comparing their values would wait for the device.
    if any(ids.q is not tables[0].q or ids.k is not tables[0].k for ids in tables):
        return f"tables by distance on two sets of {which} run in plain torch only"
    if asked > 1:
        return "two tables that queries ask run in plain torch only"
    return f"two windows on {which} run in plain torch only" if windows > 1 else None


def _obstacle_in_query_table(term: QueryTable, many: bool) -> str | None:
    if term.ids is not None:
        return "QueryTable on ids runs in plain torch only"
    if term.values.shape[2] > WIDEST:
        return f"QueryTable of values wider than {WIDEST} runs in plain torch only"
    if many and term.values.shape[1] > MOST_SLOTS:
        return f"QueryTable of more than {MOST_SLOTS} slots runs in plain torch only"
    return None
