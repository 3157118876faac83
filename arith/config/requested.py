"""What a user asks `arith evaluate` to test."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RequestedTests:
    """The options that say what is tested, None where they are not given.

    Args:
        test_digits, suites, grid: as they are typed; see `EvaluationConfig`.
        samples: problems a test set.
        seed: of the test problems.
    """

    task: str | None = None
    format: str | None = None
    test_digits: str | None = None
    suites: str | None = None
    grid: str | None = None
    samples: int | None = None
    seed: int | None = None

    @property
    def by_suite(self) -> bool:
        """Whether suites are tested; a grid alone replaces them."""
        return self.grid is None or self.test_digits is not None or self.suites is not None
