import hashlib

import numpy as np
import pytest

from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.modular import Parity
from arith.tasks.samplers import Uniform, UniformValues
from arith.tasks.sampling import Source, count_seen, hash_operands, owner, too_few_to_split
from arith.tasks.stream import BLOCK, SPLITS, Draws, Stream, sample_keys
from arith.tasks.strings import Copy
from arith.tasks.suites import SUITES, Suite

ADD = Addition()


def texts(source: Source, start: int, count: int) -> list[tuple[str, str]]:
    a, b = source.operands(start, count)
    return [(a.text(row), b.text(row)) for row in range(count)]


def test_a_sample_depends_on_seed_split_and_index_alone() -> None:
    everything = texts(Source(ADD, Uniform(1, 6, 0.5), 1, "train"), 0, 3 * BLOCK)
    other = Source(ADD, Uniform(1, 6, 0.5), 1, "train")
    for start, count in ((2 * BLOCK - 5, 10), (7, 1), (BLOCK, BLOCK), (0, 3)):
        assert texts(other, start, count) == everything[start : start + count]


def test_seeds_and_splits_give_other_streams() -> None:
    streams = [texts(Source(ADD, Uniform(12, 12), seed, split), 0, 1000) for seed in (0, 1) for split in SPLITS]
    distinct = {pair for stream in streams for pair in stream}
    assert len(distinct) == 6 * 1000


def test_splits_share_no_large_problem() -> None:
    held = {}
    for split in SPLITS:
        a, b = Source(ADD, Uniform(1, 4), 0, split).operands(0, 20_000)
        large = ~too_few_to_split(np.stack([a.lengths, b.lengths]), "number")
        held[split] = {tuple(sorted((a.text(row), b.text(row)))) for row in np.flatnonzero(large)}
    assert not held["train"] & held["test"]
    assert not held["train"] & held["validation"]
    assert not held["validation"] & held["test"]


@pytest.mark.parametrize("split", SPLITS)
def test_lengths_are_uniform_and_independent(split: str) -> None:
    # Held-out problems are redrawn; that must not favour the cells that are too small for it.
    n = 20 * BLOCK
    a, b = Source(ADD, Uniform(1, 4), 5, split).operands(0, n)  # type: ignore[arg-type]
    cells = np.bincount((a.lengths - 1) * 4 + (b.lengths - 1), minlength=16)
    expected = n / 16
    chi_squared = ((cells - expected) ** 2 / expected).sum()
    assert chi_squared < 37.7  # 99.9% quantile at 15 degrees of freedom


def test_digits_are_uniform() -> None:
    a, _ = Source(ADD, Uniform(3, 3), 0, "train").operands(0, 20 * BLOCK)
    units = np.bincount(a.digits[:, 0], minlength=10)
    leading = np.bincount(a.digits[:, 2], minlength=10)
    assert leading[0] == 0
    assert ((units - 2048) ** 2 / 2048).sum() < 27.9  # 99.9% at 9 degrees of freedom
    assert ((leading[1:] - 20480 / 9) ** 2 / (20480 / 9)).sum() < 26.1  # at 8


def test_numbers_have_their_lengths() -> None:
    for pair in texts(Source(ADD, Uniform(1, 5, 0.5), 0, "train"), 0, 2000):
        for text in pair:
            assert text == str(int(text))


def test_carry_mix_raises_the_share_of_nines() -> None:
    def columns_of_nine(mix: float) -> float:
        a, b = Source(ADD, Uniform(6, 6, mix), 0, "train").operands(0, 4000)
        return float((a.digits + b.digits == 9).mean())

    assert columns_of_nine(0.0) == pytest.approx(0.1, abs=0.02)
    # Spans cover a third of the columns on average, in half of the problems.
    assert columns_of_nine(0.5) == pytest.approx(0.1 + 0.5 * 0.9 / 3, abs=0.05)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("digits", [1, 2, 7])
def test_suites_are_what_they_say(suite: str, digits: int) -> None:
    pairs = texts(Source(ADD, Suite(suite, digits), 0, "test"), 0, 300)  # type: ignore[arg-type]
    for x, y in pairs:
        assert max(len(x), len(y)) == digits
        assert x == str(int(x))
        assert y == str(int(y))
        if suite in ("random", "chain"):
            assert len(x) == len(y)
        if suite == "nines":
            assert "9" * digits in (x, y)
        if suite == "chain":
            assert int(x) + int(y) == 10**digits
        if suite == "equal":
            assert x == y
        if suite == "powers":
            assert {x.rstrip("0"), y.rstrip("0")} == {"1"}
        if suite == "adjacent":
            assert sorted((len(x), len(y))) == [max(digits - 1, 1), digits]
        if suite == "thin":
            assert min(len(x), len(y)) <= 2
    if suite == "thin" and digits == 7:
        assert {(len(x), len(y)) for x, y in pairs} == {(7, 1), (7, 2), (1, 7), (2, 7)}
    if suite == "sparse" and digits > 1:
        inner = "".join(number[1:] for pair in pairs for number in pair)
        assert 0.85 < inner.count("0") / len(inner) < 0.97
    if suite == "unequal" and digits > 1:
        assert all(len(x) != len(y) for x, y in pairs)
        assert {min(len(x), len(y)) for x, y in pairs} == set(range(1, digits))
    if suite == "nines":
        assert sorted(map(int, pairs[0])) == sorted([10**digits - 1, 1])


def test_seen_problems_are_counted_exactly() -> None:
    test, training = Source(ADD, Suite("random", 1), 0, "test"), Source(ADD, Uniform(1, 2), 0, "train")
    drawn = {frozenset(pair) for pair in texts(training, 0, 60)}
    expected = sum(frozenset(pair) in drawn for pair in texts(test, 0, 200))
    assert 0 < expected < 200
    far = Source(ADD, Suite("random", 5), 0, "test"), Source(ADD, Suite("chain", 5), 0, "test")
    assert count_seen([(test, 200), (far[0], 50), (far[1], 50)], training, 60) == [expected, 0, 0]


def test_nothing_is_drawn_where_nothing_can_have_been_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Source(ADD, Uniform(1, 4), 0, "train")
    monkeypatch.setattr(training, "hashes", lambda *_: pytest.fail("drawn for nothing"))
    assert count_seen([(Source(ADD, Suite("chain", 5), 0, "test"), 50)], training, 10**9) == [0]


def test_strings_of_bits_are_held_out_from_fourteen_on() -> None:
    for length, apart in ((13, False), (14, True)):
        drawn = {
            split: {bits.text(row) for row in range(3000)}
            for split in ("train", "test")
            for (bits,) in [Source(Parity(), Uniform(length, length), 0, split).operands(0, 3000)]  # type: ignore[arg-type]
        }
        assert set("".join(drawn["train"])) == {"0", "1"}
        assert drawn["train"].isdisjoint(drawn["test"]) == apart


def test_seen_strings_are_counted_with_their_zeros() -> None:
    test, training = Source(Copy(), Suite("random", 4), 0, "test"), Source(Copy(), Uniform(1, 4), 0, "train")
    drawn = {training.operands(0, 1000)[0].text(row) for row in range(1000)}
    expected = sum(test.operands(0, 2000)[0].text(row) in drawn for row in range(2000))
    assert count_seen([(test, 2000)], training, 1000) == [expected]


def test_hash_ignores_order_and_width() -> None:
    digits = np.array([[[1, 2, 0]], [[3, 0, 0]]], dtype=np.uint8)
    lengths = np.array([[2], [1]])
    same = hash_operands(digits, lengths, "number")
    assert same == hash_operands(digits[::-1], lengths, "number")
    assert same == hash_operands(digits[:, :, :2], lengths, "number")
    counts = np.bincount(owner(np.random.default_rng(0).integers(0, 2**64, 8000, dtype=np.uint64)))
    assert counts / 8000 == pytest.approx([0.75, 0.125, 0.125], abs=0.02)


def test_bytes_never_change() -> None:
    # If this fails, every published result was measured on other problems: raise the version of the data instead.
    problems = Source(ADD, Uniform(1, 9, 0.5), 42, "train").problems(0, 2500)
    written = NAMED["padded"].write(ADD, problems, Draws.at(42, "train", 0, 2500))
    assert hashlib.sha256(written.tokens.tobytes()).hexdigest()[:16] == "a39ba683cea65a8b"
    suite = Source(ADD, Suite("unequal", 30), 42, "test").operands(0, 1500)
    assert hashlib.sha256(suite[0].digits.tobytes()).hexdigest()[:16] == "4ac3cfc48b9aef87"
    assert (
        hashlib.sha256(sample_keys(42, "test", 0, 1000).astype("<i8").tobytes()).hexdigest()[:16] == "d55e41735a60da7f"
    )


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="a seed is an integer from 0"):
        Stream(seed, "train", 0)


def test_bounds_are_kept() -> None:
    drawn = Stream(0, "train", 0).below(7, (10_000,))
    assert np.bincount(drawn, minlength=7).min() > 1200
    assert drawn.max() == 6


@pytest.mark.parametrize(("low", "high"), [(0, 3), (3, 2)])
def test_ranges_that_are_none_are_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="1 digit or more"):
        Uniform(low, high)


def test_values_are_uniform() -> None:
    a, b = Source(ADD, UniformValues(3), 0, "train").operands(0, 20 * BLOCK)
    values = np.array([int(a.text(row)) for row in range(20 * BLOCK)])
    counts = np.bincount(values // 100, minlength=10)
    expected = len(values) / 10
    assert ((counts - expected) ** 2 / expected).sum() < 27.9  # 99.9% at 9 degrees of freedom
    assert abs(np.corrcoef(values, [int(b.text(row)) for row in range(20 * BLOCK)])[0, 1]) < 0.03
    assert (
        texts(Source(ADD, UniformValues(3), 0, "train"), 1500, 3)
        == texts(Source(ADD, UniformValues(3), 0, "train"), 1000, 600)[500:503]
    )


def test_strings_have_no_values() -> None:
    with pytest.raises(ValueError, match="strings of digits, which have no value"):
        Source(Copy(), UniformValues(3), 0, "train")


def test_problems_of_thousands_of_digits_stay_what_they_were() -> None:
    a, b = Source(ADD, Suite("chain", 10_000), 5, "test").operands(1, 1)
    assert (a.text(0)[:12], b.text(0)[:12]) == ("769295246199", "230704753800")


def test_longer_problems_are_drawn_in_smaller_blocks_and_held_out_all_the_same() -> None:
    digits = 300_000  # 13 rows a block
    source = Source(ADD, Suite("random", digits), 3, "test")
    a, b = source.operands(11, 4)
    drawn = np.stack([a.digits, b.digits])
    assert drawn.shape == (2, 4, digits)
    assert (owner(hash_operands(drawn, np.full((2, 4), digits), "number")) == SPLITS.index("test")).all()
    assert np.bincount(drawn.ravel(), minlength=10) / drawn.size == pytest.approx(np.full(10, 0.1), abs=0.002)
    assert (drawn[..., -1] > 0).all()
    again = Source(ADD, Suite("random", digits), 3, "test").operands(13, 1)[0]
    assert np.array_equal(again.digits[0], a.digits[2])
    assert len({row.tobytes() for row in drawn.reshape(8, digits)}) == 8
