"""What an encoding does, found by running it on plain inputs: nothing here knows which encoding it is.

Every token has the same content, so that whatever differs between tokens comes from their positions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.catalogue.build import build_scheme, encoding
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

WIDTH, HEADS, DIGITS = 64, 4, 9  # of the model that an encoding is built for; 9 digits are longer than what is shown
SAMPLES = 3  # draws of a scheme's ids that its picture shows
# Schemes with settings that let them draw at random, within the few tokens that are shown.
SCHEMES_DRAWN = {
    "abacus": "abacus:origin=random,span=9",
    "cape": "cape:tested=fixed",
    "coupled": "coupled:origin=cyclic",
    "pose": "pose:span=30",
    "randomized": "randomized:span=48,tested=even",
    "sequential": "sequential:origin=random,span=9,tested=fixed",
}
LOWEST = -1000.0  # a score below has a weight of exactly 0 after softmax, exp(-1000): the key counts as hidden

Place = Literal["input", "rotation", "scores"]


@dataclass(frozen=True)
class Effect:
    """What an encoding does at one place, for each pair of tokens.

    Args:
        place: `input`: the cosine of the vectors that are added to two tokens; NaN where none is added.
            `rotation`: the mean score of a query and a key of the same content, of length 1.
            `scores`: what is added to a score; NaN where the key is hidden.
        values: rows are queries; one head if all heads are alike.
    """

    place: Place
    values: Float[Tensor, "h n n"]


@dataclass(frozen=True)
class Demonstration:
    """What an encoding does to one sequence.

    Args:
        spec: the encoding, with the settings that it was given.
        effects: at the places where positions make a difference; maybe none.
        symbols: the tokens of an addition, if ids depend on its digits; else None, and all tokens are one digit.
        ids: the tokens' position ids, of the first scheme and level.
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
class SchemeDemonstration:
    """The ids that a scheme gives to one addition, for a few samples that differ in what they draw.

    Args:
        spec: the scheme, with the settings that it was given.
        symbols: the tokens.
        trained, tested: for each sample the tokens' ids, first level.
    """

    spec: str
    symbols: str
    trained: tuple[tuple[int, ...], ...]
    tested: tuple[tuple[int, ...], ...]


def addition() -> Batch:
    """One addition, its answer reversed."""
    source = Source(task_named("addition"), Uniform(2, 4), seed=0, split="train")
    return Dataset(Mixture([source]), format_named("reversed")).batch(0, 1, torch.device("cpu"))


def demonstrate_scheme(name: str) -> SchemeDemonstration:
    """Compute the ids that a position scheme gives to one addition, in training and in tests.

    >>> shown = demonstrate_scheme("segments")
    >>> shown.symbols, shown.trained[0]
    ('^68+694=267$', (1, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7))
    """
    spec = SCHEMES_DRAWN.get(name, name)
    batch = addition()
    tokens = batch.tokens.expand(SAMPLES, -1)
    # A third of an addition at most is one number: two operands and an answer.
    facts = {"tokens": batch.capacity, "digits": int(batch.capacity // 3)}
    scheme = build_scheme(parse_name(spec, "a position scheme"), facts)
    scheme.check(batch.prompt.reading)
    key = torch.from_numpy(sample_keys(0, "train", 0, SAMPLES))

    def ids(tested: bool) -> tuple[tuple[int, ...], ...]:
        length = batch.prompt.length.expand(SAMPLES)
        prompt = replace(batch.prompt, tokens=tokens, length=length, tested=tested)
        # A scheme that draws nothing returns one row for all samples.
        found = scheme.full(prompt, tokens, key, batch.capacity)[0].expand(SAMPLES, -1)
        return tuple(tuple(row) for row in found.tolist())

    symbols = "".join(vocabulary.SYMBOLS[token] for token in batch.tokens[0].tolist())
    return SchemeDemonstration(spec, symbols, ids(tested=False), ids(tested=True))


@torch.no_grad()
def demonstrate(name: str) -> Demonstration:
    """Run an encoding or alias on one sequence, the same each time.

    >>> shown = demonstrate("alibi")
    >>> [effect.place for effect in shown.effects], shown.effects[0].values[0, 2, :3].tolist()
    (['scores'], [-0.5, -0.25, 0.0])
    """
    spec = example(name)
    # The generator is restored afterwards: drawing a picture changes nobody else's random numbers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        composed = encoding(spec, width=WIDTH, heads=HEADS, layers=1, tokens=SHOWN, digits=DIGITS).double()
        filled = _fill(composed)
        content = torch.randn(1, 1, WIDTH, dtype=torch.float64)
        vectors = torch.randn(1, HEADS, 1, WIDTH // HEADS, dtype=torch.float64)
    aware = composed.structure_aware
    prompt, tokens = (addition().prompt, addition().tokens) if aware else _plain_tokens()
    composed.check(prompt.reading)
    ids = composed.full(prompt, tokens, torch.zeros(1, dtype=torch.long), tokens.shape[1])
    positions = composed.place(ids)
    content = content.expand(-1, tokens.shape[1], -1)
    vectors = vectors.expand(-1, -1, tokens.shape[1], -1)
    found = [
        Effect("input", _compare_inputs(lambda x: composed.embed(x, positions), content)),
        Effect("input", _compare_inputs(lambda x: composed.at(0).hidden(x, positions), content)),
        Effect("rotation", _score_rotated(composed, positions, tokens.shape[1])),
        Effect("scores", _score_terms(composed, positions, content, vectors)),
    ]
    # The opposite content, on other scores: what only adds a bias adds the same one.
    other = _score_terms(composed, positions, -content, -vectors, before=1.0)
    by_content = not torch.allclose(found[-1].values, other, equal_nan=True)
    effects = [Effect(effect.place, _drop_equal_heads(effect.values)) for effect in found if _varies(effect)]
    symbols = "".join(vocabulary.SYMBOLS[token] for token in tokens[0].tolist()) if aware else None
    return Demonstration(spec, tuple(effects), symbols, _choose_ids(composed, ids), filled, by_content)


def _fill(composed: Composed) -> bool:
    """Fill tables that start at zero with smooth random curves along their longest side, and say whether any did.

    At zero a learned table does nothing, so its picture would be empty; noise would hide how positions share values.
    """
    tables = [parameter for parameter in composed.parameters() if parameter.dim() and not parameter.any()]
    for table in tables:
        # Positions or distances are the longest side; of equal sides the last.
        side = max(range(table.dim()), key=lambda dim: (table.shape[dim], dim))
        places = (torch.arange(table.shape[side], dtype=torch.float64) + 0.5) / table.shape[side]
        waves = torch.cos(torch.pi * torch.arange(6)[:, None] * places)  # from a constant to 2.5 periods
        across = table.movedim(side, -1)
        across.copy_(0.3 * torch.randn(*across.shape[:-1], len(waves), dtype=torch.float64) @ waves)
    return bool(tables)


def _plain_tokens() -> tuple[Prompt, Int[Tensor, "1 n"]]:
    """A sequence without a structure: the same digit again and again."""
    table = token_table(torch.device("cpu"))
    digit = int((table.kind == Kind.DIGIT).nonzero()[0])
    tokens = torch.full((1, SHOWN), digit)
    reading = Reading(operands="msb", answer="lsb", fixed_width=False)
    return Prompt(tokens, torch.tensor([SHOWN]), table, reading, None), tokens


def _choose_ids(composed: Composed, ids: Ids) -> tuple[int, ...]:
    """Ids of the first scheme that looks at digits, or of the first; its first level."""
    aware = [level for scheme, level in zip(composed.schemes, ids, strict=True) if scheme.structure_aware]
    return tuple((*aware, *ids)[0][0, 0].tolist())


def _compare_inputs(act: Callable[[Tensor], Tensor], content: Float[Tensor, "1 n w"]) -> Float[Tensor, "1 n n"]:
    """The cosine between what is added to each two tokens.

    Args:
        act: the encoding's effect on its input.
        content: the same for all tokens.
    """
    # The mean over both signs of the content is what an encoding adds whatever the content. If that is nothing, it
    # acts on the content (a scale, a gate), and the change it makes is looked at instead.
    given = (act(content) + act(-content)) / 2
    if not given.any():
        given = act(content) - content
    unit = given / given.norm(dim=-1, keepdim=True)  # 0 / 0: NaN, where nothing is added
    alike: Tensor = unit @ unit.transpose(1, 2)
    return alike


def _score_rotated(composed: Composed, positions: tuple[Positions, ...], n: int) -> Float[Tensor, "h n n"]:
    """The score of a query and a key of the same content after rotation, as a mean over all contents of length 1.

    For a linear map the mean over all directions equals that over a basis, so no random numbers are needed.
    """
    basis = torch.eye(WIDTH // HEADS, dtype=torch.float64)
    # With both signs: what adds a constant vector instead of rotating shows only in the mean of the two.
    contents = torch.cat([basis, -basis])[:, None, None].expand(-1, HEADS, n, -1)
    q, k = composed.at(0).rotate(contents, contents, positions)
    return _hide_future((q @ k.transpose(-1, -2)).mean(0))


def _score_terms(
    composed: Composed,
    positions: tuple[Positions, ...],
    content: Float[Tensor, "1 n w"],
    vectors: Float[Tensor, "1 h n d"],
    before: float = 0.0,
) -> Float[Tensor, "h n n"]:
    """What terms add to scores; NaN where they hide the key, or another token's value is taken.

    Args:
        content: the layer's input, the same for all tokens.
        vectors: queries and keys, the same for all tokens.
        before: every score before terms act on it.
    """
    n = content.shape[1]
    scores = torch.full((1, HEADS, n, n), before, dtype=torch.float64)
    terms = composed.at(0).terms(content, vectors, vectors, positions, {})
    for term in terms:
        scores = add_term(term, scores)
    visible = visibility(n, n, terms, True, None, None, scores.device)
    assert visible is not None
    if composed.lanes:
        # All that is seen is what one of the lanes takes.
        taken = composed.at(0).taken(positions)
        visible = visible & (taken[:, None, :, None] == torch.arange(n)[:, None]).any(-1)
    return (scores - before).masked_fill(~visible | (scores < LOWEST), torch.nan)[0]


def _hide_future(values: Float[Tensor, "h n n"]) -> Float[Tensor, "h n n"]:
    """The same, NaN where the key is ahead of the query."""
    return values.masked_fill(~torch.ones(values.shape[1:]).bool().tril(), torch.nan)


def _varies(effect: Effect) -> bool:
    """Whether positions make a difference."""
    values = effect.values
    if effect.place == "input":
        return bool(values.isfinite().any()) and not bool((values > 1 - 1e-9).all())
    past = values[:, torch.ones(values.shape[1:]).bool().tril()]
    finite = past[past.isfinite()]
    # A key that is hidden makes a difference even if all visible ones score the same, as in a window.
    return finite.numel() < past.numel() or bool(finite.max() - finite.min() > 1e-9)


def _drop_equal_heads(values: Float[Tensor, "h n n"]) -> Float[Tensor, "h n n"]:
    """The first head alone if all others equal it."""
    return values[:1] if torch.allclose(values, values[:1].expand_as(values), equal_nan=True) else values
