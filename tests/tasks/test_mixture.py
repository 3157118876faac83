import re

import numpy as np
import pytest

from arith.catalogue.named import format_named, task_named
from arith.config.schema import DataConfig
from arith.data.problems import shares, training_problems
from arith.errors import UsageError
from arith.tasks import vocabulary
from arith.tasks.addition import Addition
from arith.tasks.mixture import Mixture
from arith.tasks.multiplication import Multiplication
from arith.tasks.samplers import Scheduled, Uniform
from arith.tasks.sampling import Source, count_seen
from arith.tasks.stream import BLOCK
from arith.tasks.suites import Suite

ADD = Addition()


def texts(data: Mixture, start: int, count: int, form: str = "plain") -> list[str]:
    return [vocabulary.decode(tokens) for tokens in data.write(format_named(form), start, count).tokens]


def test_shares_are_kept_and_any_slice_can_be_had() -> None:
    data = training_problems("dialogue", DataConfig((2, 3), mix=("60% addition 1-5",)), "train")
    everything = texts(data, 0, 5000)
    assert texts(data, 1234, 77) == everything[1234 : 1234 + 77]
    dialogues = [line for line in everything if line.startswith("Student")]
    assert len(dialogues) / 5000 == pytest.approx(0.4, abs=0.02)
    sums = [line for line in everything if not line.startswith("Student")]
    assert {len(line.partition("+")[0]) for line in sums} == set(range(1, 6))


def test_padded_parts_keep_their_widths() -> None:
    sources = [Source(task, Uniform(1, 3), 0, "train") for task in (ADD, Multiplication())]
    written = Mixture(sources, (0.5, 0.5)).write(format_named("padded"), 0, 300)
    assert written.answer_widths is not None
    for row, tokens in enumerate(written.tokens):
        answer = vocabulary.decode(tokens).partition("=")[2]
        assert len(answer) == written.answer_widths[row]


def test_a_fixed_set_comes_again() -> None:
    data = training_problems("addition", DataConfig((3, 6), samples=100), "train")
    assert texts(data, 0, 100) == texts(data, 300, 100)
    assert texts(data, 90, 250) == (texts(data, 0, 100) * 4)[90:340]
    assert len(set(texts(data, 0, 100))) > 90
    validation = training_problems("addition", DataConfig((3, 6), samples=100), "validation")
    assert texts(validation, 0, 100) != texts(validation, 100, 100)


def test_what_was_seen_is_counted_in_all_parts() -> None:
    data = training_problems("dialogue", DataConfig((1, 1), mix=("50% addition 1-2",)), "train")
    test = Source(ADD, Suite("random", 1), 0, "test")
    seen = set()
    for _, problems, *_ in data.parts(0, 60):
        seen |= {
            frozenset((problems.operands[0].text(row), problems.operands[1].text(row))) for row in range(len(problems))
        }
    a, b = test.operands(0, 200)
    expected = sum(frozenset((a.text(row), b.text(row))) in seen for row in range(200))
    assert 0 < expected < 200
    assert count_seen([(test, 200)], data, 60) == [expected]


def test_a_schedule_moves_lengths_and_carries_with_the_index() -> None:
    sampler = Scheduled(Uniform(1, 2, 1.0), Uniform(1, 10, 0.0), 8 * BLOCK)
    source = Source(ADD, sampler, 0, "train")
    longest = [int(source.lengths(block * BLOCK, BLOCK).max()) for block in range(10)]
    assert longest == [2, 3, 4, 5, 6, 7, 8, 9, 10, 10]
    assert sampler.at(4).carry_mix == 0.5
    again = Source(ADD, sampler, 0, "train")
    assert (again.lengths(5 * BLOCK + 3, 20) == source.lengths(5 * BLOCK, 30)[:, 3:23]).all()
    late = np.bincount(source.lengths(9 * BLOCK, BLOCK).ravel(), minlength=11)[1:]
    assert late.min() > 0.7 * late.mean()


def test_only_training_is_scheduled() -> None:
    data = DataConfig((1, 8), schedule=100_000, first_digits=(1, 2))
    train, validation = (training_problems("addition", data, split) for split in ("train", "validation"))  # type: ignore[arg-type]
    assert train.sources[0].lengths(0, 500).max() == 2
    assert validation.sources[0].lengths(0, 500).max() == 8
    assert train.longest == 8


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DataConfig(mix=("addition",)), "such as '50% addition 1-5'"),
        (DataConfig(mix=("0% addition",)), "such as '50% addition 1-5'"),
        (DataConfig(mix=("",)), "such as '50% addition 1-5'"),
        (DataConfig(mix=("60% addition", "40% subtraction")), "leaves nothing of dialogue"),
        (DataConfig(mix=("10% adition",)), "Did you mean 'addition'"),
        (DataConfig(mix=("10% addition 1-3 plian",)), "plian in the mix.*Did you mean 'plain'"),
        (DataConfig(mix=("10% addition plian",)), "plian in the mix.*Did you mean 'plain'"),
        (DataConfig(mix=("10% addition plain 1-3",)), "digits are a range"),
        (DataConfig(mix=("10% addition 1-3 plain 4",)), "such as '50% addition 1-5'"),
        (DataConfig(first_digits=(1, 2)), "set data.schedule too"),
        (DataConfig(uniform="values", schedule=5, first_digits=(1, 2)), "uniformly over lengths"),
        (DataConfig(schedule=-5, first_digits=(1, 2)), "1 problem or more"),
        (DataConfig(schedule=5), "begins somewhere"),
        (DataConfig(schedule=5000, samples=1000, first_digits=(1, 1)), "comes again before a schedule of 5000"),
        (DataConfig(uniform="values", mix=("50% addition 2-3",)), "addition in the mix.*1 digit and more"),
        (DataConfig(mix=("50% addition 1-x",)), "in the mix.*digits are a range"),
        (DataConfig(samples=0), "1 sample or more"),
        (DataConfig(first_carry_mix=2.0, schedule=5), "share between 0 and 1"),
    ],
)
def test_data_that_cannot_be_is_refused(data: DataConfig, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        training_problems("dialogue", data, "train")


def test_shares_say_what_they_are_of() -> None:
    assert [
        (own.share, own.name, own.digits)
        for own in shares("dialogue", DataConfig((2, 3), mix=("25% addition:operands=3 1-9",)))
    ] == [
        (0.75, "dialogue", (2, 3)),
        (0.25, "addition:operands=3", (1, 9)),
    ]


@pytest.mark.parametrize("form", ["plain+spaces", "reversed+hints", "padded:spare=9"])
def test_two_passes_over_a_fixed_set_are_decorated_alike_or_anew(form: str) -> None:
    """With `redraw` problems and wordings repeat, and random spaces, hints and spare zeros do not."""
    written = format_named(form)
    for redraw in (False, True):
        mixture = Mixture([Source(task_named("addition"), Uniform(1, 4), 0, "train")], samples=40, redraw=redraw)
        first, second = (texts(mixture, start, 40, form) for start in (0, 40))
        assert (first == second) == (not redraw)
        assert first == texts(Mixture(mixture.sources, samples=40), 0, 40, form), "the first pass is as ever"
        assert second == texts(mixture, 20, 60, form)[20:], "a sample depends on its index alone"
        read = [[written.read(mixture.sources[0].task, text) for text in lines] for lines in (first, second)]
        assert read[0] == read[1], "the same problems"


def test_a_share_is_written_in_its_own_format() -> None:
    data = training_problems("addition", DataConfig((1, 3), mix=("30% addition 2 plain+detailed",)), "train")
    lines = texts(data, 0, 4000, "plain")
    worked = [line for line in lines if ";" in line]
    assert len(worked) / 4000 == pytest.approx(0.3, abs=0.02)
    for line in lines[:500]:
        form = format_named("plain+detailed" if ";" in line else "plain")
        (a, b), answer = form.read(ADD, line)
        assert int(answer) == int(a) + int(b)
    assert {len(line.partition("+")[0]) for line in worked} == {2}
    assert texts(data, 700, 50, "plain") == lines[700:750]
    assert [str(form) for form in data.formats(format_named("plain"))] == ["plain", "plain+detailed"]


def test_a_share_of_the_main_task_without_digits_is_drawn_as_it_is() -> None:
    """The same problems, on the schedule and with carry-heavy ones, written in one format or the other."""
    plain = DataConfig((1, 8), carry_mix=0.5, schedule=4000, first_digits=(1, 1))
    alone = texts(training_problems("addition", plain, "train"), 0, 5000)
    mixed = DataConfig((1, 8), carry_mix=0.5, schedule=4000, first_digits=(1, 1), mix=("40% addition plain+detailed",))
    both = texts(training_problems("addition", mixed, "train"), 0, 5000)
    assert [line.partition("=")[0] for line in both] == [line.partition("=")[0] for line in alone]
    assert 1800 < sum(";" in line for line in both) < 2200
    # A share with digits of its own, or of another task, has neither.
    own = DataConfig((1, 8), schedule=4000, first_digits=(1, 1), mix=("40% addition 1-8 plain+detailed",))
    worked = [line for line in texts(training_problems("addition", own, "train"), 0, 300) if ";" in line]
    assert max(len(line.partition("+")[0]) for line in worked) == 8


def test_wordings_repeat_where_spaces_are_drawn_anew() -> None:
    mixture = Mixture([Source(task_named("dialogue"), Uniform(1, 2), 0, "train")], samples=20, redraw=True)
    passes = [texts(mixture, start, 20, "plain+spaces") for start in (0, 20)]
    assert passes[0] != passes[1]
    assert [text.replace(" ", "") for text in passes[0]] == [text.replace(" ", "") for text in passes[1]]


def test_operands_are_drawn_anew_in_each_pass_and_wordings_are_not() -> None:
    sources = [Source(task_named("dialogue"), Uniform(2, 4), 0, "train")]
    mixture = Mixture(sources, samples=50, renumber=True)
    first, second = (texts(mixture, start, 50, "plain") for start in (0, 50))
    assert first == texts(Mixture(sources), 0, 50, "plain"), "the first pass is as ever"
    assert second == texts(mixture, 20, 80, "plain")[30:], "a sample depends on its index alone"
    assert not set(first) & set(second)
    words = [[re.sub("[0-9]+", "#", line) for line in lines] for lines in (first, second)]
    assert words[0] == words[1]
    hashes = [mixture.hashes(start, 50) for start in (0, 50)]
    assert np.array_equal(hashes[1], Mixture(sources).hashes(50, 50)), "problems of training, none of a test's"
    assert not set(hashes[0].tolist()) & set(hashes[1].tolist())


def test_operands_are_swapped_in_half_of_the_samples_anew_in_each_pass() -> None:
    sources = [Source(task_named("addition"), Uniform(1, 4), 0, "train")]
    mixture, plain = Mixture(sources, samples=200, swap=True), texts(Mixture(sources), 0, 200, "plain")
    first, second = (texts(mixture, start, 200, "plain") for start in (0, 200))
    for lines in (first, second):
        swapped = sum(line != before for line, before in zip(lines, plain, strict=True))
        assert 75 < swapped < 125
        for line, before in zip(lines, plain, strict=True):
            (a, b), (c, d) = (text.partition("=")[0].split("+") for text in (line, before))
            assert (a, b) in ((c, d), (d, c))
            assert line.partition("=")[2] == before.partition("=")[2]
    assert first != second
    assert second == texts(mixture, 100, 300, "plain")[100:], "a sample depends on its index alone"


def test_tasks_whose_answer_would_change_are_not_swapped() -> None:
    for task in ("subtraction", "reverse"):
        with pytest.raises(ValueError, match="answer"):
            Mixture([Source(task_named(task), Uniform(1, 4), 0, "train")], swap=True)
