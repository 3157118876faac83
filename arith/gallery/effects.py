"""What an encoding does, found by acting on plain inputs: nothing here knows which encoding it is.

Every token has the same content, so that whatever differs between tokens comes from their positions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.catalogue.build import encoding, scheme_named
from arith.catalogue.examples import SHOWN, example
from arith.catalogue.named import format_named, task_named
from arith.catalogue.spec import parse_name
from arith.data.batch import Batch, token_table
from arith.data.dataset import Dataset
from arith.encodings.base import Positions
from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Kind, Prompt, Reading
from arith.kernels.reference import add_term, visibility
from arith.tasks import vocabulary
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.stream import sample_keys

WIDTH, HEADS, DIGITS = 64, 4, 9
SAMPLES = 3  # of which ids are drawn
# Schemes with the settings by which they draw something, within a few tokens.
SCHEMES_DRAWN = {
    "abacus": "abacus:origin=random,span=9",
    "cape": "cape:tested=fixed",
    "coupled": "coupled:origin=cyclic",
    "pose": "pose:span=30",
    "randomized": "randomized:span=48,tested=even",
    "sequential": "sequential:origin=random,span=9,tested=fixed",
}
LOWEST = -1000.0  # scores below leave no weight: the key is hidden

Place = Literal["input", "rotation", "scores"]


@dataclass(frozen=True)
class Effect:
    """What an encoding does at one place.

    Args:
        place: `input`: how alike the vectors are that two tokens are given, cosine; NaN where none is given.
            `rotation`: the mean score of a query and a key of the same content, of length 1.
            `scores`: what is added to a score; NaN where the key is hidden.
        values: of each pair; of one head, if all are alike.
    """

    place: Place
    values: Float[Tensor, "h n n"]


@dataclass(frozen=True)
class Probe:
    """What an encoding does.

    Args:
        spec: the encoding, with the settings that it was given.
        effects: at the places where positions make a difference; maybe none.
        symbols: the tokens of an addition, if ids depend on its digits.
        ids: of these tokens, first scheme and level.
        filled: whether parameters start at zero, and hold smooth random curves here.
        by_content: whether scores change with the content.
    """

    spec: str
    effects: tuple[Effect, ...]
    symbols: str | None
    ids: tuple[int, ...]
    filled: bool
    by_content: bool


@dataclass(frozen=True)
class SchemeProbe:
    """What ids a scheme gives to one addition, for a few samples that differ in what they draw.

    Args:
        spec: the scheme, with the settings that it was given.
        symbols: the tokens.
        trained, tested: ids of each sample, first level.
    """

    spec: str
    symbols: str
    trained: tuple[tuple[int, ...], ...]
    tested: tuple[tuple[int, ...], ...]


def addition() -> Batch:
    """One addition, its answer reversed."""
    source = Source(task_named("addition"), Uniform(2, 4), seed=0, split="train")
    return Dataset(Mixture([source]), format_named("reversed")).batch(0, 1, torch.device("cpu"))


def probe_scheme(name: str) -> SchemeProbe:
    """See what ids a scheme gives."""
    spec = SCHEMES_DRAWN.get(name, name)
    batch = addition()
    tokens = batch.tokens.expand(SAMPLES, -1)
    facts = {"tokens": batch.capacity, "digits": int(batch.capacity // 3)}
    scheme = scheme_named(parse_name(spec, "a position scheme"), facts)
    scheme.check(batch.prompt.reading)
    key = torch.from_numpy(sample_keys(0, "train", 0, SAMPLES))

    def ids(tested: bool) -> tuple[tuple[int, ...], ...]:
        length = batch.prompt.length.expand(SAMPLES)
        prompt = replace(batch.prompt, tokens=tokens, length=length, tested=tested)
        found = scheme.full(prompt, tokens, key, batch.capacity)[0].expand(SAMPLES, -1)
        return tuple(tuple(row) for row in found.tolist())

    symbols = "".join(vocabulary.SYMBOLS[token] for token in batch.tokens[0].tolist())
    return SchemeProbe(spec, symbols, ids(tested=False), ids(tested=True))


@torch.no_grad()
def probe(name: str) -> Probe:
    """See what an encoding or alias does to one sequence, seeded."""
    spec = example(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        composed = encoding(spec, width=WIDTH, heads=HEADS, layers=1, tokens=SHOWN, digits=DIGITS).double()
        filled = _fill(composed)
        content = torch.randn(1, 1, WIDTH, dtype=torch.float64)
        vectors = torch.randn(1, HEADS, 1, WIDTH // HEADS, dtype=torch.float64)
    aware = any(scheme.structure_aware for scheme in composed.schemes)
    prompt, tokens = (addition().prompt, addition().tokens) if aware else _plain()
    composed.check(prompt.reading)
    ids = composed.full(prompt, tokens, torch.zeros(1, dtype=torch.long), tokens.shape[1])
    positions = tuple(Positions(own, own) for own in ids)
    content = content.expand(-1, tokens.shape[1], -1)
    found = [
        Effect("input", _alike(lambda x: composed.embed(x, positions), content)),
        Effect("input", _alike(lambda x: composed.at(0).hidden(x, positions), content)),
        Effect("rotation", _turned(composed, positions, tokens.shape[1])),
        Effect("scores", _added(composed, positions, content, vectors.expand(-1, -1, tokens.shape[1], -1))),
    ]
    other = _added(composed, positions, -content, -vectors.expand(-1, -1, tokens.shape[1], -1), before=1.0)
    by_content = not torch.allclose(found[-1].values, other, equal_nan=True)
    effects = [Effect(effect.place, _distinct(effect.values)) for effect in found if _matters(effect)]
    symbols = "".join(vocabulary.SYMBOLS[token] for token in tokens[0].tolist()) if aware else None
    return Probe(spec, tuple(effects), symbols, _drawn_ids(composed, ids), filled, by_content)


def _fill(composed: Composed) -> bool:
    """Fill tables that start at zero with smooth random curves along their longest side."""
    tables = [parameter for parameter in composed.parameters() if parameter.dim() and not parameter.any()]
    for table in tables:
        side = max(range(table.dim()), key=lambda own: (table.shape[own], own))
        places = (torch.arange(table.shape[side], dtype=torch.float64) + 0.5) / table.shape[side]
        waves = torch.cos(torch.pi * torch.arange(6)[:, None] * places)  # from a constant to 2.5 periods
        across = table.movedim(side, -1)
        across.copy_(0.3 * torch.randn(*across.shape[:-1], len(waves), dtype=torch.float64) @ waves)
    return bool(tables)


def _plain() -> tuple[Prompt, Int[Tensor, "1 n"]]:
    """A sequence without a structure: digits."""
    table = token_table(torch.device("cpu"))
    digit = int((table.kind == Kind.DIGIT).nonzero()[0])
    tokens = torch.full((1, SHOWN), digit)
    reading = Reading(operands="msb", answer="lsb", fixed_width=False)
    return Prompt(tokens, torch.tensor([SHOWN]), table, reading, None), tokens


def _drawn_ids(composed: Composed, ids: Ids) -> tuple[int, ...]:
    aware = [own for scheme, own in zip(composed.schemes, ids, strict=True) if scheme.structure_aware]
    return tuple((*aware, *ids)[0][0, 0].tolist())


def _alike(act: Callable[[Tensor], Tensor], content: Float[Tensor, "1 n w"]) -> Float[Tensor, "1 n n"]:
    """What is given whatever the content: the mean over its signs. If that is nothing, what becomes of the content."""
    given = (act(content) + act(-content)) / 2
    if not given.any():
        given = act(content) - content
    unit = given / given.norm(dim=-1, keepdim=True)  # 0 / 0: NaN, as nothing is given
    alike: Tensor = unit @ unit.transpose(1, 2)
    return alike


def _turned(composed: Composed, positions: tuple[Positions, ...], n: int) -> Float[Tensor, "h n n"]:
    """The mean over all directions, which for a linear map is that over a basis; both signs, or a constant shows."""
    basis = torch.eye(WIDTH // HEADS, dtype=torch.float64)
    contents = torch.cat([basis, -basis])[:, None, None].expand(-1, HEADS, n, -1)
    q, k = composed.at(0).rotate(contents, contents, positions)
    return _causal((q @ k.transpose(-1, -2)).mean(0))


def _added(
    composed: Composed,
    positions: tuple[Positions, ...],
    content: Float[Tensor, "1 n w"],
    vectors: Float[Tensor, "1 h n d"],
    before: float = 0.0,
) -> Float[Tensor, "h n n"]:
    """What terms add to scores that were all the same before."""
    n = content.shape[1]
    scores = torch.full((1, HEADS, n, n), before, dtype=torch.float64)
    terms = composed.at(0).terms(content, vectors, vectors, positions, {})
    for term in terms:
        scores = add_term(term, scores, vectors, scale=(WIDTH // HEADS) ** -0.5)
    visible = visibility(n, n, terms, True, None, None, scores.device)
    assert visible is not None
    return (scores - before).masked_fill(~visible | (scores < LOWEST), torch.nan)[0]


def _causal(values: Float[Tensor, "h n n"]) -> Float[Tensor, "h n n"]:
    return values.masked_fill(~torch.ones(values.shape[1:]).bool().tril(), torch.nan)


def _matters(effect: Effect) -> bool:
    """Whether positions make a difference."""
    values = effect.values
    if effect.place == "input":
        return bool(values.isfinite().any()) and not bool((values > 1 - 1e-9).all())
    past = values[:, torch.ones(values.shape[1:]).bool().tril()]
    finite = past[past.isfinite()]
    return finite.numel() < past.numel() or bool(finite.max() - finite.min() > 1e-9)


def _distinct(values: Float[Tensor, "h n n"]) -> Float[Tensor, "h n n"]:
    return values[:1] if torch.allclose(values, values[:1].expand_as(values), equal_nan=True) else values
