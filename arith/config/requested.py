"""The tests that a user requests from `arith evaluate`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RequestedTests:
    """The options that choose the tests; None for an option that is not given, which leaves the run's own setting.

    Args:
        task, format: the task, and how its numbers are written.
        test_digits, suites, grid: the texts as typed; see `EvaluationConfig`.
        samples: the number of problems in a test set.
        seed: the seed of the test problems.
        sharpen: the factor on scores of attention, a number or `log-n`.
        loops: the number of loops.
    """

    task: str | None = None
    format: str | None = None
    test_digits: str | None = None
    suites: str | None = None
    grid: str | None = None
    samples: int | None = None
    seed: int | None = None
    sharpen: float | str | None = None
    loops: int | None = None

    @property
    def by_suite(self) -> bool:
        """Whether suites are tested; a grid requested alone replaces them."""
        return self.grid is None or self.test_digits is not None or self.suites is not None
