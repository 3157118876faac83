"""How answers are wrong, pooled over seeds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arith.errors import UsageError
from arith.results.schema import CLASSES, Anatomy


def merge_anatomies(parts: Iterable[Anatomy]) -> list[Anatomy]:
    """Those of one label, seed, suite and length as one: the cells of a grid with the same longer operand."""
    found: dict[tuple[object, ...], Anatomy] = {}
    for part in parts:
        key = part.label, part.suite, part.digits, part.model_seed, part.data_seed
        found[key] = _sum(found[key], part) if key in found else part
    return list(found.values())


def _sum(a: Anatomy, b: Anatomy) -> Anatomy:
    longer, shorter = sorted((a.positions, b.positions), key=len, reverse=True)
    filled = [*shorter, *[(0, 0)] * (len(longer) - len(shorter))]
    chains: dict[int, tuple[int, int]] = {}
    for length, right, n in (*a.chains, *b.chains):
        before = chains.get(length, (0, 0))
        chains[length] = before[0] + right, before[1] + n
    return Anatomy(
        label=a.label,
        suite=a.suite,
        digits=a.digits,
        model_seed=a.model_seed,
        data_seed=a.data_seed,
        n=a.n + b.n,
        wrong={name: a.wrong[name] + b.wrong[name] for name in CLASSES},
        positions=tuple((r + s, n + m) for (r, n), (s, m) in zip(longer, filled, strict=True)),
        chains=tuple((length, *chains[length]) for length in sorted(chains)),
    )


@dataclass(frozen=True)
class PooledAnatomy:
    """One label on one suite: its seeds together, by length."""

    label: str
    suite: str
    seeds: int
    lengths: tuple[Anatomy, ...]


def pool_anatomies(found: Sequence[Anatomy], suite: str) -> list[PooledAnatomy]:
    """The anatomies of one suite, one a label.

    Raises:
        UsageError: there is none.
    """
    chosen = [own for own in found if own.suite == suite]
    if not chosen:
        there = ", ".join(sorted({own.suite for own in found}))
        hint = f"Suites there: {there}" if there else "It is kept by arith evaluate RUN --anatomy"
        raise UsageError(f"no anatomy of answers to suite '{suite}'. {hint}")
    drawn = []
    for label in dict.fromkeys(own.label for own in chosen):
        seeds = {(own.model_seed, own.data_seed) for own in chosen if own.label == label}
        tests = Counter((own.digits, own.model_seed, own.data_seed) for own in chosen if own.label == label)
        if max(tests.values()) > 1:
            raise UsageError(f"two anatomies of '{label}' are of the same lengths and seeds. Leave one file out")
        pooled = merge_anatomies(_without_seed(own) for own in chosen if own.label == label)
        drawn.append(PooledAnatomy(label, suite, len(seeds), tuple(sorted(pooled, key=lambda own: own.digits))))
    return drawn


def _without_seed(own: Anatomy) -> Anatomy:
    return Anatomy(own.label, own.suite, own.digits, 0, 0, own.n, own.wrong, own.positions, own.chains)
