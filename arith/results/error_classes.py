"""Pools the classified mistakes of several seeds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from arith.errors import UsageError
from arith.results.schema import CLASSES, Anatomy


def merge_anatomies(parts: Iterable[Anatomy]) -> list[Anatomy]:
    """Merge anatomies of the same label, seed, suite and length, such as grid cells with the same longer operand."""
    found: dict[tuple[object, ...], Anatomy] = {}
    for part in parts:
        key = part.label, part.suite, part.digits, part.model_seed, part.data_seed
        found[key] = _sum(found[key], part) if key in found else part
    return list(found.values())


def _sum(a: Anatomy, b: Anatomy) -> Anatomy:
    # Counts add up: an answer that has no tenth place adds nothing there.
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
    """How the answers of one label to one suite are wrong, all seeds together, by length."""

    label: str
    suite: str
    seeds: int
    lengths: tuple[Anatomy, ...]


def pool_anatomies(found: Sequence[Anatomy], suite: str) -> list[PooledAnatomy]:
    """Pool the anatomies of one suite over seeds, one for each label.

    Raises:
        UsageError: the suite has no anatomy, or a seed is there twice.
    """
    chosen = [part for part in found if part.suite == suite]
    if not chosen:
        there = ", ".join(sorted({part.suite for part in found}))
        hint = f"Suites there: {there}" if there else "It is kept by arith evaluate RUN --anatomy"
        raise UsageError(f"no anatomy of answers to suite '{suite}'. {hint}")
    drawn = []
    for label in dict.fromkeys(part.label for part in chosen):
        parts = [part for part in chosen if part.label == label]
        seeds = {(part.model_seed, part.data_seed) for part in parts}
        tests = Counter((part.digits, part.model_seed, part.data_seed) for part in parts)
        # The same seed twice would count its mistakes double without anybody seeing it.
        if max(tests.values()) > 1:
            raise UsageError(f"two anatomies of '{label}' are of the same lengths and seeds. Leave one file out")
        pooled = merge_anatomies(map(_without_seed, parts))
        drawn.append(PooledAnatomy(label, suite, len(seeds), tuple(sorted(pooled, key=lambda part: part.digits))))
    return drawn


def _without_seed(part: Anatomy) -> Anatomy:
    # Equal seeds make `merge_anatomies` add up what differs in nothing else.
    return replace(part, model_seed=0, data_seed=0)
