"""Why answers are wrong: by their place in the answer, by the carries of the problem, and by what the answer is.

Classes of wrong answers, the first that fits:

    dropped       every digit is its column's with some carry; at the first wrong one less was carried in than right
    spurious      the same, with more carried in
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

LONGEST = 40  # characters of a number in a table


SHIFTS = tuple(shift for shift in range(-9, 10) if shift)
ENOUGH = 3, 4  # digits in which a whole answer, or its end, agrees with a shifted sum, so that it is no chance


def anatomy(tested: PredictionHeader, task: Task, rows: Sequence[Prediction]) -> Anatomy:
    """Of problems of one suite and length."""
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
    """For each place in the answer, tokens that are right, and answers that have it."""
    width = max(len(row.expected) for row in rows)
    right, n = np.zeros(width, dtype=np.int64), np.zeros(width, dtype=np.int64)
    for row in rows:
        expected = np.frombuffer(row.expected.encode("utf-32-le"), dtype="<u4")
        n[: len(expected)] += 1
        if row.correct:
            right[: len(expected)] += 1
            continue
        written = np.frombuffer(row.written.encode("utf-32-le"), dtype="<u4")[: len(expected)]
        right[: len(written)] += written == expected[: len(written)]
    return tuple(zip(right.tolist(), n.tolist(), strict=True))


def classify(task: Task, rows: Sequence[Prediction]) -> list[str]:
    """The class of each of some wrong answers."""
    found = ["length" if _digits(row.written) != _digits(row.expected) else "other" for row in rows]
    readable = [place for place, row in enumerate(rows) if row.answer is not None]
    if task.alphabet != "number" or not readable:
        return found
    read = [rows[place] for place in readable]
    answers = Numbers.read([row.answer or "0" for row in read])
    operands = _operands(read)
    truth = Numbers.read([row.result for row in read])
    width = max(answers.width, truth.width, *(number.width + 1 for number in operands))
    given, right = resize(answers.digits, width), resize(truth.digits, width)
    wrong = given != right
    same_sign = answers.signs == truth.signs
    an_operand = np.any([(resize(number.digits, width) == given).all(1) for number in operands], axis=0) & wrong.any(1)
    misaligned = _match_shift(task, operands, answers, given, wrong) & ~an_operand
    named = {"misaligned": misaligned}
    if has_columns(task):
        own = columns(task, operands)
        dropped, spurious = _carries(own, given, wrong)
        in_column = np.any([resize(number.digits, width) == given for number in operands], axis=0)
        inside = np.arange(width) < np.max([number.lengths for number in operands], axis=0)[:, None]
        copied = an_operand | (wrong.any(1) & (~wrong | (in_column & inside)).all(1))
        # A carry makes an answer a digit longer or shorter at most.
        near = np.array([abs(_digits(row.written) - _digits(row.expected)) <= 1 for row in read])
        carried = same_sign & near & ~an_operand
        named |= {"dropped": dropped & carried, "spurious": spurious & carried, "copied": copied & same_sign}
    for name in reversed(CLASSES[:4]):
        for place in np.flatnonzero(named.get(name, np.zeros(len(read), dtype=bool))):
            found[readable[place]] = name
    return found


def _carries(
    own: Columns, given: UInt8[np.ndarray, "n w"], wrong: Bool[np.ndarray, "n w"]
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Whether all digits are their columns' with some carry, and less or more of it at the first wrong one."""
    columns_there = own.sums.shape[1]
    within = ~given[:, columns_there:].any(1)
    digits = given[:, :columns_there].astype(np.int64)
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
    """Whether an answer is that to a problem with one operand shifted."""
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
            counted = same & (place < longest[:, None])
            whole = same.all(1) & (counted.sum(1) >= ENOUGH[0])
            tail = (same | (place < first[:, None])).all(1) & (
                (counted & (place >= first[:, None])).sum(1) >= ENOUGH[1]
            )
            some_left = (operands[which].lengths + shift >= 1) & (shift < longest)
            found |= (whole | tail) & wrong.any(1) & some_left
    return found


def _digits(written: str) -> int:
    """Tokens of an answer, whether or not it ended."""
    return len(written.removesuffix(vocabulary.END))


def _shift(number: Numbers, shift: int) -> Numbers:
    """Numbers with zeros put after their last digits, or the last digits cut off."""
    if shift > 0:
        digits = np.pad(number.digits, ((0, 0), (shift, 0)))
    else:
        digits = number.digits[:, -shift:]
        digits = digits if digits.shape[1] else np.zeros((len(number), 1), np.uint8)
    return Numbers(digits, np.maximum(number.lengths + shift, 1))


def _operands(rows: Sequence[Prediction]) -> list[Numbers]:
    return [Numbers.read([row.operands[which] for row in rows]) for which in range(len(rows[0].operands))]


class FailureCollector:
    """The anatomy of all that is added, and the first failures at each length of each suite.

    Args:
        wanted: failures that are kept, for each suite and length.
    """

    def __init__(self, tested: PredictionHeader, task: Task, wanted: int) -> None:
        self.tested, self.task, self.wanted = tested, task, wanted
        self.failures: dict[tuple[str, int], list[Prediction]] = {}
        self.parts: list[Anatomy] = []

    def add(self, rows: Sequence[Prediction]) -> None:
        """The problems of one test set."""
        self.parts.append(anatomy(self.tested, self.task, rows))
        kept = self.failures.setdefault((rows[0].suite, rows[0].digits), [])
        kept += [row for row in rows if not row.correct][: self.wanted - len(kept)]

    def anatomy(self) -> list[Anatomy]:
        return merge_anatomies(self.parts)


class PredictionRecorder:
    """Answers the problems of each test set as it comes, writes them down and gathers them."""

    def __init__(self, model: Transformer, gathered: FailureCollector, writer: Writer | None) -> None:
        self.model, self.gathered, self.writer = model, gathered, writer

    def __call__(self, test: Condition, data: Dataset, start: int, found: Verdicts) -> None:
        rows = predict(self.model, test, data, start, found)
        if self.writer is not None:
            self.writer.write(rows)
        self.gathered.add(rows)


def failure_table(failures: Sequence[Prediction]) -> str:
    """A line a failure: problem, the answer that was given, the right one, and the first wrong token."""
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
    """A line a test set: how many answers are wrong, and the share of each class among them."""
    rows = [["suite", "digits", "n", "wrong", *CLASSES]]
    for own in found:
        wrong = sum(own.wrong.values())
        shares = [percent(own.wrong[name] / wrong) if wrong else "-" for name in CLASSES]
        rows.append([own.suite, str(own.digits), str(own.n), str(wrong), *shares])
    return align_columns(rows) + "\nClasses of wrong answers in % of them: see arith.evaluation.failures."
