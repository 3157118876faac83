"""Test sets: which of them a configuration has, and the problems in each, the same for every model. No torch."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arith.catalogue.named import format_named, task_named
from arith.config.ranges import check_ranges
from arith.config.reading import digit_list, grid_lengths
from arith.config.schema import EvaluationConfig
from arith.errors import UsageError, did_you_mean
from arith.results.schema import GRID, Condition
from arith.tasks.base import Drawn, Task
from arith.tasks.cells import Cells
from arith.tasks.formats import Format
from arith.tasks.mixture import Mixture
from arith.tasks.sampling import Source
from arith.tasks.suites import SUITES, Suite, SuiteName


def find_suite(name: str) -> SuiteName:
    """Check the name of a test suite.

    Raises:
        UsageError: no suite has this name.

    >>> find_suite("chains")
    Traceback (most recent call last):
    arith.errors.UsageError: no test suite is called 'chains'. Did you mean 'chain'? Suites: random, unequal, ...
    """
    if name not in SUITES:
        raise UsageError(f"no test suite is called '{name}'.{did_you_mean(name, SUITES)} Suites: {', '.join(SUITES)}")
    return name


def longest(name: str, task: Task, form_name: str, form: Format, digits: int) -> tuple[int, int]:
    """Tokens of the longest sequence, and digits of its longest number.

    Raises:
        UsageError: the format cannot write the task's problems; the message names both.

    >>> longest("addition", task_named("addition"), "plain", format_named("plain"), 3)
    (14, 4)
    """
    try:
        return form.longest(task, digits)
    except ValueError as error:
        if isinstance(error, UsageError):  # a ValueError too, and already in a user's words
            raise
        raise UsageError(f"task '{name}' in format '{form_name}': {error}") from error


@dataclass(frozen=True)
class Size:
    """The number of problems in some test sets.

    Args:
        n: the number of problems; 0: these sets are left out.
        suite: the suite; None: all.
        lengths: the digit lengths.

    >>> Size.of("1 chain 1000000")
    Size(n=1, suite='chain', lengths=(1000000,))
    """

    n: int
    suite: SuiteName | None
    lengths: tuple[int, ...]

    @staticmethod
    def of(text: str) -> "Size":
        """Read an entry of `evaluation.sizes`.

        Raises:
            UsageError: it is not a number of problems, a suite or none, and a length or a range.
        """
        count, *names, digits = text.split() if len(text.split()) > 1 else ("", "")
        if not count.isdecimal() or len(count) > 9 or len(names) > 1:
            raise UsageError(
                f"evaluation.sizes names a number of problems, maybe a suite, and a length or a range: "
                f"'4 1000000' or '1 chain 5000-6000'. Got '{text:.60}'"
            )
        return Size(int(count), find_suite(names[0]) if names else None, digit_list(digits))


@dataclass(frozen=True)
class EvaluationSets:
    """The test problems of a task in a format, whichever model is tested on them.

    Args:
        name: the task's name, with settings.
        task, format: the task, and how its numbers are written.
        config: the lengths, suites, sizes and seed of the tests.

    >>> tests = EvaluationSets.of("addition", "plain", EvaluationConfig(digits=(4, 2), samples=9))
    >>> [(test.suite, test.digits, test.n) for test in tests.conditions()]
    [('random', 2, 9), ('unequal', 2, 9), ('random', 4, 9), ('unequal', 4, 9)]
    """

    name: str
    task: Task
    format: Format
    config: EvaluationConfig

    @staticmethod
    def of(task: str, form: str, config: EvaluationConfig) -> "EvaluationSets":
        """Find every mistake in tests, and load what they name. The configuration's own task and format are not used.

        Raises:
            UsageError: a number is outside its range, or a suite or length does not fit the task or its format.
        """
        tests = EvaluationSets(task, task_named(task), format_named(form), config)
        tests.check()
        # What cannot be written is refused here, not in the middle of the tests.
        longest(task, tests.task, form, tests.format, config.longest)
        return tests

    def check(self) -> None:
        """Refuse a number outside its range, and suites that there are not or that do not fit the task."""
        check_ranges(self.config, "evaluation.")
        if not self.config.digits:
            raise UsageError("evaluation.digits names one length or more, and is empty")
        if not self.conditions():
            raise UsageError(f"evaluation.sizes leaves no test set: got {', '.join(self.config.sizes)}")
        suites = self.suites()  # refuses unknown names before the tests are looked at more closely
        if self.config.grid:
            self._check_grid()
        self._check_suites(suites, self.config.digits)
        self._check_suites(["random"], self.config.watch)

    def suites(self) -> tuple[SuiteName, ...]:
        """The suites of the tests: those configured, or random and, with two operands or more, unequal problems."""
        # One operand has no other to be unequal to, and operands that a task draws itself have one length.
        default = ("random", "unequal")[: 1 if isinstance(self.task, Drawn) else self.task.operands]
        return tuple(map(find_suite, dict.fromkeys(self.config.suites or default)))

    def every_suite(self) -> tuple[str, ...]:
        """The suites of the tests, followed by all others that fit task and lengths: the adversarial ones."""
        asked = self.suites()
        return (*asked, *(name for name in SUITES if name not in asked and self._fits(name)))

    def _fits(self, suite: str) -> bool:
        try:
            self._check_suites([suite], self.config.digits)
        except UsageError:
            return False
        return True

    def _check_suites(self, suites: Iterable[str], lengths: Sequence[int]) -> None:
        try:
            for digits, name in itertools.product(lengths, suites):
                Suite(find_suite(name), digits).check(self.task)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def conditions(self) -> list[Condition]:
        """The test sets of the configuration: short lengths first, then the cells of its grid."""
        sizes = [Size.of(text) for text in self.config.sizes]
        found = []
        for digits, suite in itertools.product(sorted(set(self.config.digits)), self.suites()):
            # Attention is quadratic in length: at full size the longest tests would cost more than all others together.
            n = self.config.samples if digits <= 100 else self.config.long_samples
            for size in sizes:
                n = size.n if digits in size.lengths and size.suite in (None, suite) else n
            found += [Condition(suite, digits, n)] if n else []
        return found + (self.grid(self.config.grid, self.config.grid_samples) if self.config.grid else [])

    def grid(self, lengths: str, n: int) -> list[Condition]:
        """A test set for each pair of operand lengths.

        Args:
            lengths: the lengths, such as "1-15" or "1-5,10"; "1-15x1-3" has other lengths for the second operand.
            n: the problems in each cell.

        Raises:
            UsageError: the task has another number of operands, or n is below 1.

        >>> tests = EvaluationSets.of("addition", "plain", EvaluationConfig())
        >>> [test.operand_lengths for test in tests.grid("2x1-3", 10)]
        [(2, 1), (2, 2), (2, 3)]
        """
        self._check_grid()
        if n < 1:
            raise UsageError(f"a cell of a grid has 1 problem or more, got {n}")
        # Short cells first, as those with one longest operand are evaluated together.
        found = [Condition(GRID, max(pair), n, pair) for pair in grid_lengths(lengths)]
        return sorted(found, key=lambda test: (test.digits, test.operand_lengths))

    def _check_grid(self) -> None:
        if isinstance(self.task, Drawn):
            raise UsageError(f"a grid is of two operands' lengths, and those of {self.name} have one. Leave it out")
        if self.task.operands != 2:
            raise UsageError(f"a grid is of two operands' lengths, and {self.name} has {self.task.operands}")

    def problems(self, sets: Sequence[Condition]) -> Mixture | Cells:
        """The problems of test sets, set after set: of one set, or of cells of a grid that have one size.

        >>> tests = EvaluationSets.of("copy", "plain", EvaluationConfig())
        >>> tests.problems(tests.conditions()[:1]).sources[0].problems(0, 1).answer.text(0)
        '8'
        """
        # A seed of its own, not the training data's: models of all seeds meet the same problems.
        first, seed = sets[0], self.config.seed
        if first.suite != GRID:
            return Mixture([Source(self.task, Suite(find_suite(first.suite), first.digits), seed, "test")])
        return Cells(self.task, tuple(test.operand_lengths or () for test in sets), first.n, seed, "test")
