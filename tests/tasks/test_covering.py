from collections import Counter

import numpy as np
import pytest

from arith.config.schema import DataConfig
from arith.data.problems import training_problems
from arith.errors import UsageError
from arith.tasks.addition import Addition
from arith.tasks.carries import columns
from arith.tasks.covering import NOTHING, Configurations, Covering
from arith.tasks.digits import Numbers, resize
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source, hash_operands, owner, too_few_to_split
from arith.tasks.stream import BLOCK

ADD = Addition()


def neighbours(operands: tuple[Numbers, ...]) -> np.ndarray:
    """Of each problem and place: x, y and the carry of a column, and u, v above it; all NOTHING where there is none."""
    width = max(own.width for own in operands) + 1
    place = np.arange(width)
    digits = [np.where(place < own.lengths[:, None], resize(own.digits, width), NOTHING) for own in operands]
    carried = columns(ADD, operands).carried
    parts = [own[:, :-1] for own in (*digits, carried[:, :width])] + [own[:, 1:] for own in digits]
    found = np.stack(parts, axis=2)
    found[(found[..., 0] == NOTHING) & (found[..., 1] == NOTHING)] = NOTHING
    return found


def all_configurations(low: int, high: int) -> set[tuple[int, ...]]:
    found = Configurations.of(low, high)
    lower = np.repeat(found.lower, found.count, axis=0)
    return set(map(tuple, np.concatenate([lower, found.upper], axis=1).tolist()))


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 2), (2, 2), (2, 3)])
def test_the_list_holds_what_numbers_of_these_lengths_hold(low: int, high: int) -> None:
    numbers = [n for n in range(10**high) if low <= len(str(n)) <= high]
    some = numbers if high < 3 else numbers[::7]
    a, b = np.meshgrid(some, numbers if high < 3 else numbers[::3])
    held = neighbours((Numbers.of(a.ravel().tolist()), Numbers.of(b.ravel().tolist())))
    found = set(map(tuple, np.unique(held.reshape(-1, 5), axis=0).tolist())) - {(NOTHING,) * 5}
    listed = all_configurations(low, high)
    assert found <= listed
    if high < 3:
        assert found == listed


def test_columns_come_round_in_turn_and_what_stands_above_them_too() -> None:
    found = Configurations.of(1, 4)
    # The two digits may be missing, but not both, and a carry may come in.
    assert len(found.lower) == 11 * 11 * 2 - 2
    visits = int(found.count.max())
    (lower, upper), carry = found.at(np.arange(len(found.lower) * visits))
    counts = Counter(zip(*lower.tolist(), carry.tolist(), strict=True))
    assert set(counts.values()) == {visits}
    pairs = Counter(zip(*lower.tolist(), carry.tolist(), *upper.tolist(), strict=True))
    assert len(pairs) == len(found.upper)
    for place, column in enumerate(found.lower.tolist()):
        own = [n for pair, n in pairs.items() if list(pair[:3]) == column]
        assert len(own) == found.count[place]
        assert max(own) - min(own) <= 1
    # Any stretch is nearly even, not only a whole round.
    (some, _), _ = found.at(np.arange(5000, 5120))
    assert np.bincount(some[0], minlength=11).min() >= 8


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 4), (3, 3), (2, 6)])
def test_each_sample_holds_its_configuration(low: int, high: int) -> None:
    operands = Source(ADD, Covering(low, high), 0, "train").operands(0, 8 * BLOCK)
    (lower, upper), carry = Configurations.of(low, high).at(np.arange(8 * BLOCK))
    wanted = np.stack([*lower, carry, *upper], axis=1)
    assert (neighbours(operands) == wanted[:, None]).all(axis=2).any(axis=1).all()
    for own in operands:
        assert own.lengths.min() >= low
        assert own.lengths.max() == high
        leading = own.digits[np.arange(len(own)), own.lengths - 1]
        assert leading[own.lengths > 1].min(initial=1) > 0
        assert not (own.digits * (np.arange(own.width) >= own.lengths[:, None])).any()


def test_all_are_met_where_a_uniform_draw_misses_some() -> None:
    samples = 240 * 121
    met = {}
    for name, sampler in (("covering", Covering(1, 4)), ("lengths", Uniform(1, 4, 0.5))):
        held = neighbours(Source(ADD, sampler, 3, "train").operands(0, samples)).reshape(-1, 5)
        met[name] = len(set(map(tuple, np.unique(held, axis=0).tolist())) & all_configurations(1, 4))
    assert met["covering"] == len(all_configurations(1, 4))
    assert met["lengths"] < 0.7 * met["covering"]


def test_any_slice_is_the_same_and_seeds_differ() -> None:
    def texts(seed: int, start: int, count: int) -> list[str]:
        drawn = Source(ADD, Covering(1, 4), seed, "train").operands(start, count)[0]
        return [drawn.text(row) for row in range(count)]

    everything = texts(1, 0, 3 * BLOCK)
    for start, count in ((2 * BLOCK - 5, 10), (7, 1)):
        assert texts(1, start, count) == everything[start : start + count]
    assert texts(2, 0, BLOCK) != everything[:BLOCK]


def test_training_is_covered_and_kept_out_of_other_splits() -> None:
    data = DataConfig((1, 4), uniform="covering")
    assert isinstance(training_problems("addition", data, "train").sources[0].sampler, Covering)
    assert training_problems("addition", data, "validation").sources[0].sampler == Uniform(1, 4)
    a, b = Source(ADD, Covering(1, 4), 0, "train").operands(0, 4 * BLOCK)
    lengths = np.stack([a.lengths, b.lengths])
    owners = owner(hash_operands(np.stack([a.digits, b.digits]), lengths, "number"))
    assert (owners[~too_few_to_split(lengths, "number")] == 0).all()


def test_no_configuration_is_wholly_held_out() -> None:
    """Of three and two digits a configuration at the units leaves one free; training has some of those nine problems,
    or the draw would never end."""
    a, b = np.meshgrid(np.arange(100, 1000), np.arange(10, 100), indexing="ij")
    wide = (Numbers.of(a.ravel().tolist()), Numbers.of(b.ravel().tolist()))
    digits = np.stack([resize(own.digits, 3) for own in wide])
    ours = owner(hash_operands(digits, np.stack([own.lengths for own in wide]), "number")) == 0
    assert ours.reshape(9, 100, 90).any(axis=0).all()


@pytest.mark.parametrize(
    ("task", "data", "reason"),
    [
        ("subtraction", {}, "even draw of digits and carries .* for additions of two numbers, not for subtraction"),
        ("multiplication", {}, "not for multiplication of 2"),
        ("addition:operands=3", {}, "not for addition of 3"),
        ("copy", {}, "declares no operation"),
        ("addition", {"carry_mix": 0.5}, "carry-heavy problems is for operands drawn uniformly over lengths"),
        (
            "addition",
            {"schedule": 5, "first_digits": (1, 1)},
            "a schedule is for operands drawn uniformly over lengths",
        ),
        ("addition", {"mix": ("10% multiplication",)}, "multiplication in the mix': an even draw"),
    ],
)
def test_what_has_no_such_configurations_is_refused(task: str, data: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        training_problems(task, DataConfig((1, 3), uniform="covering", **data), "train")  # type: ignore[arg-type]
