"""Which tests a model that reads text is given: options of the command line, and what stands in for those left out."""

from collections.abc import Mapping

from arith.config.reading import digit_list
from arith.config.requested import RequestedTests
from arith.evaluation.text.prompts import TextTest
from arith.results.schema import Condition

# Replies take seconds each where a run of ours takes milliseconds: short, few and one suite, unless more is named.
TASK, FORMAT, DIGITS, SUITES, SAMPLES = "addition", "plain", "1-5", ("random",), 100
# The default of `evaluation.seed`, so that a text model meets the problems that runs are tested on.
SEED = 2311


def request_text_tests(
    tests: RequestedTests, shots: int, settings: Mapping[str, str]
) -> tuple[TextTest, list[Condition]]:
    """What is asked of a model that reads text, and its test sets: those by suite first, then those of a grid.

    Args:
        tests: options of the command line.
        shots: solved problems in front of each prompt.
        settings: the model's own task and format, where they are known.

    Raises:
        UsageError: there is no such task, format, suite or length.

    >>> of, sets = request_text_tests(RequestedTests(None, "reversed", "2", None, None, 50, None), 0, {})
    >>> of.task, of.format, [(test.suite, test.digits, test.n) for test in sets]
    ('addition', 'reversed', [('random', 2, 50)])
    """
    of = TextTest(
        tests.task or settings.get("task", TASK),
        tests.format or settings.get("format", FORMAT),
        SEED if tests.seed is None else tests.seed,
        shots,
    )
    samples = SAMPLES if tests.samples is None else tests.samples
    suites = SUITES if tests.suites is None else tests.suites.split(",")
    sets = of.tests(digit_list(tests.test_digits or DIGITS), suites, samples).conditions() if tests.by_suite else []
    return of, sets + (of.tests().grid(tests.grid, samples) if tests.grid is not None else [])
