"""Collect wrong answers while test sets are evaluated, say why they are wrong, and print them.

Classes of wrong answers; the first that fits counts:

    dropped       every digit is its column's sum with some carry; at the first wrong digit the carry is too small
    spurious      the same, with a carry that is too large
    misaligned    a sum with one operand shifted by up to nine digits, all of it or from the first wrong digit on
    copied        every wrong digit is that of an operand in its column
    length        too many or too few tokens
    other         none of these

For tasks without columns (products, strings) carries and copies are not looked for.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from arith.data.dataset import Dataset
from arith.evaluation.answers import predict
from arith.evaluation.teacher_forced import Verdicts
from arith.model.transformer import Transformer
from arith.results.error_classes import merge_anatomies
from arith.results.predictions import Prediction, PredictionHeader, Writer
from arith.results.schema import CLASSES, Anatomy, Condition
from arith.results.tables import align_columns
from arith.results.uncertainty import percent
from arith.tasks import vocabulary
from arith.tasks.base import Task
from arith.tasks.carries import Columns, columns, has_columns
from arith.tasks.digits import Numbers, resize

LONGEST = 40  # characters of a number in a table, beyond which its middle is left out


# Nine places either way: further off, hardly any digits of the operands still meet.
SHIFTS = tuple(shift for shift in range(-9, 10) if shift)
# Digits in which a whole answer, or its end, has to agree with a shifted sum. There are up to 36 sums of two shifted
# operands to agree with, and three digits agree with one of them by chance in a few percent of answers.
ENOUGH = 3, 4


def anatomy(tested: PredictionHeader, task: Task, rows: Sequence[Prediction]) -> Anatomy:
    """Why a model's answers to problems of one suite and length are wrong.

    Args:
        tested: the model and the test.
        task: the task.
        rows: the problems with their answers, right and wrong ones.
    """
    counts = Counter(classify(task, [row for row in rows if not row.correct]))
    chains: tuple[tuple[int, int, int], ...] = ()
    if has_columns(task):
        lengths = columns(task, _operands(rows)).chains().tolist()
        of, right = Counter(lengths), Counter(n for n, row in zip(lengths, rows, strict=True) if row.correct)
        chains = tuple((length, right[length], of[length]) for length in sorted(of))
    return Anatomy(
        label=tested.label,
        suite=rows[0].suite,
        digits=rows[0].digits,
        model_seed=tested.model_seed,
        data_seed=tested.data_seed,
        n=len(rows),
        wrong={name: counts[name] for name in CLASSES},
        positions=_positions(rows),
        chains=chains,
    )


def _positions(rows: Sequence[Prediction]) -> tuple[tuple[int, int], ...]:
    """For each place in the answer: how many answers have the right token there, and how many reach so far."""
    width = max(len(row.expected) for row in rows)
    right, n = np.zeros(width, dtype=np.int64), np.zeros(width, dtype=np.int64)
    for row in rows:
        # UTF-32 has four bytes for every character, so that comparing characters is comparing integers of an array.
        expected = np.frombuffer(row.expected.encode("utf-32-le"), dtype="<u4")
        n[: len(expected)] += 1
        if row.correct:
            right[: len(expected)] += 1
            continue
        written = np.frombuffer(row.written.encode("utf-32-le"), dtype="<u4")[: len(expected)]
        right[: len(written)] += written == expected[: len(written)]
    return tuple(zip(right.tolist(), n.tolist(), strict=True))


def classify(task: Task, rows: Sequence[Prediction]) -> list[str]:
    """The class of each wrong answer.

    Args:
        task: the task.
        rows: the problems that are answered wrong.
    """
    found = ["length" if _digits(row.written) != _digits(row.expected) else "other" for row in rows]
    readable = [place for place, row in enumerate(rows) if row.answer is not None]
    if task.alphabet != "number" or not readable:
        return found
    read = [rows[place] for place in readable]
    answers = Numbers.read([row.answer or "0" for row in read])
    operands = _operands(read)
    truth = Numbers.read([row.result for row in read])
    width = max(answers.width, truth.width, *(number.width + 1 for number in operands))
    # Digits least significant first, [n, width]: column k of every number is its digit of weight 10^k.
    given, right = resize(answers.digits, width), resize(truth.digits, width)
    wrong = given != right
    same_sign = answers.signs == truth.signs
    # An answer that is an operand as a whole is copied, and not also a sum with the other shifted out of sight.
    an_operand = np.any([(resize(number.digits, width) == given).all(1) for number in operands], axis=0) & wrong.any(1)
    misaligned = _match_shift(task, operands, answers, given, wrong) & ~an_operand
    named = {"misaligned": misaligned}
    if has_columns(task):
        own = columns(task, operands)
        dropped, spurious = _carries(own, given, wrong)
        # Beyond the longest operand all digits are zeros, which every number has there: nothing is copied from them.
        in_column = np.any([resize(number.digits, width) == given for number in operands], axis=0)
        inside = np.arange(width) < np.max([number.lengths for number in operands], axis=0)[:, None]
        copied = an_operand | (wrong.any(1) & (~wrong | (in_column & inside)).all(1))
        # A carry makes an answer a digit longer or shorter at most.
        near = np.array([abs(_digits(row.written) - _digits(row.expected)) <= 1 for row in read])
        carried = same_sign & near & ~an_operand
        named |= {"dropped": dropped & carried, "spurious": spurious & carried, "copied": copied & same_sign}
    # Later names overwrite, so the first class in the list is written last.
    for name in reversed(CLASSES[:4]):
        for place in np.flatnonzero(named.get(name, np.zeros(len(read), dtype=bool))):
            found[readable[place]] = name
    return found


def _carries(
    own: Columns, given: UInt8[np.ndarray, "n w"], wrong: Bool[np.ndarray, "n w"]
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Which answers are their columns' sums with dropped, and which with spurious carries.

    Args:
        own: the columns of the right sums.
        given: the digits of the answers.
        wrong: the digits that are wrong.
    """
    columns_there = own.sums.shape[1]
    within = ~given[:, columns_there:].any(1)
    digits = given[:, :columns_there].astype(np.int64)
    # The carry into each column that would explain its digit, whatever came out of the column before. Only the first
    # wrong column counts: a wrong carry there makes the later ones differ too.
    if own.borrows:
        borrowed = (own.sums - digits) % 10
        explained, excess = borrowed <= own.most, borrowed + own.carried
    else:
        carried = (digits - own.sums) % 10
        explained, excess = carried <= own.most, carried - own.carried
    fits = explained.all(1) & within & wrong.any(1)
    first = wrong[:, :columns_there].argmax(1)
    at_first = excess[np.arange(len(first)), first]
    return fits & (at_first < 0), fits & (at_first > 0)


def _match_shift(
    task: Task,
    operands: Sequence[Numbers],
    answers: Numbers,
    given: UInt8[np.ndarray, "n w"],
    wrong: Bool[np.ndarray, "n w"],
) -> Bool[np.ndarray, " n"]:
    """Which answers are those to the same problem with one operand shifted, as a whole or from some digit on."""
    width = given.shape[1]
    place = np.arange(width)
    first = np.where(wrong.any(1), wrong.argmax(1), width)
    longest = np.max([number.lengths for number in operands], axis=0)
    found = np.zeros(len(given), dtype=bool)
    for which in range(len(operands)):
        for shift in SHIFTS:
            shifted = [_shift(own, shift) if at == which else own for at, own in enumerate(operands)]
            solved = task.solve(*shifted)
            # A format that fixes the answer's width leaves no room for what a shift adds.
            same = (resize(solved.digits, width) == given) & (solved.signs == answers.signs)[:, None]
            # Zeros beyond the operands agree without merit, and are not counted.
            counted = same & (place < longest[:, None])
            whole = same.all(1) & (counted.sum(1) >= ENOUGH[0])
            tail = (same | (place < first[:, None])).all(1) & (
                (counted & (place >= first[:, None])).sum(1) >= ENOUGH[1]
            )
            # Shifted out of sight, an operand leaves the other one alone, which is another class: copied.
            some_left = (operands[which].lengths + shift >= 1) & (shift < longest)
            found |= (whole | tail) & wrong.any(1) & some_left
    return found


def _digits(written: str) -> int:
    """The number of tokens in an answer, without its end mark."""
    return len(written.removesuffix(vocabulary.END))


def _shift(number: Numbers, shift: int) -> Numbers:
    """Numbers times a power of ten: zeros after their last digits, or for negative shifts the last digits cut off."""
    # Digits stand least significant first, so the last digits of a number are the first of its row.
    if shift > 0:
        digits = np.pad(number.digits, ((0, 0), (shift, 0)))
    else:
        digits = number.digits[:, -shift:]
        digits = digits if digits.shape[1] else np.zeros((len(number), 1), np.uint8)
    return Numbers(digits, np.maximum(number.lengths + shift, 1))


def _operands(rows: Sequence[Prediction]) -> list[Numbers]:
    return [Numbers.read([row.operands[which] for row in rows]) for which in range(len(rows[0].operands))]


class FailureCollector:
    """The anatomy of all problems added, and the first failures of each suite and length.

    Args:
        tested: the model and the test.
        task: the task.
        wanted: the number of failures kept of each suite and length.
    """

    def __init__(self, tested: PredictionHeader, task: Task, wanted: int) -> None:
        self.tested, self.task, self.wanted = tested, task, wanted
        self.failures: dict[tuple[str, int], list[Prediction]] = {}
        self.parts: list[Anatomy] = []

    def add(self, rows: Sequence[Prediction]) -> None:
        """Add the problems of a test set, right and wrong answers."""
        self.parts.append(anatomy(self.tested, self.task, rows))
        kept = self.failures.setdefault((rows[0].suite, rows[0].digits), [])
        kept += [row for row in rows if not row.correct][: self.wanted - len(kept)]

    def anatomy(self) -> list[Anatomy]:
        return merge_anatomies(self.parts)


class PredictionRecorder:
    """A recorder that gets the answers to each test set, writes them to a file and collects the failures."""

    def __init__(self, model: Transformer, gathered: FailureCollector, writer: Writer | None) -> None:
        self.model, self.gathered, self.writer = model, gathered, writer

    def __call__(self, test: Condition, data: Dataset, start: int, found: Verdicts) -> None:
        rows = predict(self.model, test, data, start, found)
        if self.writer is not None:
            self.writer.write(rows)
        self.gathered.add(rows)


def failure_table(failures: Sequence[Prediction]) -> str:
    """A table with a line a failure: the problem, its answer, the right answer, and the first wrong token."""
    rows = [["suite", "problem", "answered", "right", "written", "first wrong", "margin"]]
    for row in failures:
        assert row.first_wrong is not None
        given = row.written[row.first_wrong - 1 : row.first_wrong] or "nothing"
        wanted = row.expected[row.first_wrong - 1]
        wrong = f"place {row.first_wrong} of {len(row.expected)}: {given} for {wanted}"
        answer = "no number" if row.answer is None else row.answer
        texts = [row.prompt, answer, row.result, row.written]
        rows.append([row.suite, *map(_short, texts), wrong, f"{row.margin:.3g}"])
    return align_columns(rows)


def _short(text: str) -> str:
    """
    >>> _short("1" * 50)
    '111111111111111111...1111111111111111111'
    """
    if len(text) <= LONGEST:
        return text
    half = (LONGEST - 3) // 2
    return f"{text[:half]}...{text[-half - 1 :]}"


def anatomy_table(found: Sequence[Anatomy]) -> str:
    """A table with a line a test set: how many answers are wrong, and the share of each class among them."""
    rows = [["suite", "digits", "n", "wrong", *CLASSES]]
    for own in found:
        wrong = sum(own.wrong.values())
        shares = [percent(own.wrong[name] / wrong) if wrong else "-" for name in CLASSES]
        rows.append([own.suite, str(own.digits), str(own.n), str(wrong), *shares])
    return align_columns(rows) + "\nClasses of wrong answers in % of them: see arith.evaluation.failures."
