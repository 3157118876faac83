"""Creates the problems of a split from a configuration. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from arith.catalogue.named import format_named, task_named
from arith.catalogue.settings import errors_about
from arith.config.reading import digit_range
from arith.config.schema import DataConfig
from arith.data.evaluation_sets import find_suite
from arith.errors import UsageError
from arith.tasks.base import Task
from arith.tasks.covering import Covering
from arith.tasks.formats import Format
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Sampler, Scheduled, Uniform, UniformValues
from arith.tasks.sampling import Source
from arith.tasks.stream import Split, check_seed
from arith.tasks.suites import Suite


@dataclass(frozen=True)
class Share:
    """A task and its share of the training samples.

    Args:
        share: the share, between 0 and 1.
        name: the task's name, with settings.
        task: the task.
        digits: the shortest and the longest operand.
        format: the name of its format; None: that of the samples which name none.
        as_main: whether operands are drawn as the main task's are, on its schedule and with its carry-heavy ones.
    """

    share: float
    name: str
    task: Task
    digits: tuple[int, int]
    format: str | None = None
    as_main: bool = False

    @property
    def form(self) -> Format | None:
        """Its own format."""
        return None if self.format is None else format_named(self.format)


def shares(task: str, data: DataConfig) -> list[Share]:
    """List the tasks of the training samples: the main task, which gets what the mix leaves, then those of the mix.

    Args:
        task: the main task's name.
        data: the configuration, whose `mix` has the others.

    Raises:
        UsageError: a share or a task cannot be read, or nothing is left for the main task.

    >>> [part.share for part in shares("dialogue", DataConfig(mix=("25% addition 1-5",)))]
    [0.75, 0.25]
    """
    mixed = [_share(text, task, data.digits) for text in data.mix]
    rest = 1 - sum(part.share for part in mixed)
    if rest <= 1e-9:  # shares of 70%, 20% and 10% miss 1 by 1e-16
        raise UsageError(f"data.mix leaves nothing of {task}: its shares sum to {1 - rest:.0%}")
    return [Share(rest, task, task_named(task), data.digits, as_main=True), *mixed]


def _share(text: str, main: str, digits: tuple[int, int]) -> Share:
    percent, *rest = text.split() or [""]
    try:
        share = float(percent.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not percent.endswith("%") or not 0 < share < 1 or len(rest) not in (1, 2, 3):
        raise UsageError(
            "a mix is a share between 0% and 100%, a task, its digits and its format, such as '50% addition 1-5' or "
            f"'20% addition 1-5 plain+detailed'; got '{text}'"
        )
    name, *rest = rest
    # Names of formats begin with a letter, and digits of operands do not: either may be left out.
    own = rest.pop(0) if rest and (rest[0][0].isdigit() or len(rest) == 2) else None
    with errors_about(f"{text} in the mix"):
        spread = digits if own is None else digit_range(own)
        form = rest[0] if rest else None
        if form is not None:
            format_named(form)  # an unknown one is refused here, where the share is named
        return Share(share, name, task_named(name), spread, form, as_main=own is None and name == main)


def training_problems(task: str, data: DataConfig, split: Split) -> Mixture:
    """Create the problems of a split.

    Only training has a schedule or a fixed set; other splits have the lengths of the schedule's end.

    Args:
        task: the main task's name.
        data: the configuration.
        split: train, validation or test.

    Raises:
        UsageError: the configuration asks for problems that cannot be drawn.
    """
    return mix_problems(shares(task, data), data, split)


def mix_problems(trained: Sequence[Share], data: DataConfig, split: Split) -> Mixture:
    """Create the problems of a split from its tasks and their shares, the main task first; see `training_problems`."""
    training = split == "train"
    main, *mixed = trained
    try:
        check_seed(data.seed)
    except ValueError as error:
        raise UsageError(f"data.seed: {error}") from error
    try:
        usual = sampler(data, training)
        sources = [Source(main.task, usual, data.seed, split)]
        for part in mixed:
            with errors_about(f"{part.name} in the mix"):
                # Drawn alike, a share has the main task's problems, sample by sample, written in another way.
                own = usual if part.as_main else _sampler(data.uniform, part.digits, training)
                sources.append(Source(part.task, own, data.seed, split))
        return Mixture(
            sources,
            [part.share for part in (main, *mixed)],
            data.samples if training else None,
            redraw=data.redraw,
            renumber=data.renumber and training,
            swap=data.swap and training,
            forms=[part.form for part in trained],
        )
    # A UsageError is a ValueError too, and says already which task of the mix it is about.
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error


def suite_problems(task: str, suite: str, data: DataConfig) -> Mixture:
    """Create the problems of a test suite at one length.

    Args:
        task: the task's name.
        suite: the suite's name.
        data: a configuration in which nothing but the length and the seed is set.

    Raises:
        UsageError: there is no such suite, another setting is set, or the task has no such problems.
    """
    name = find_suite(suite)
    low, high = data.digits
    if low != high:
        raise UsageError(f"a suite is of one length, such as --digits {high}; got {low}-{high}")
    # Anything but digits and seed would be ignored without a word.
    if data != DataConfig(data.digits, seed=data.seed):
        raise UsageError("a suite is drawn in its own way, from one task: leave out --uniform, --carry-mix and --mix")
    try:
        return Mixture([Source(task_named(task), Suite(name, high), data.seed, "test")])
    except ValueError as error:
        raise UsageError(str(error)) from error


def sampler(data: DataConfig, training: bool = True) -> Sampler:
    """Create the sampler that draws operands.

    Args:
        data: the configuration.
        training: whether to follow its schedule or its even draw of configurations; if not, the sampler of the
            schedule's end, and lengths drawn uniformly.

    Raises:
        UsageError: the settings contradict one another.

    >>> sampler(DataConfig(uniform="values", digits=(1, 4)))
    UniformValues(digits=4)
    """
    try:
        last = _sampler(data.uniform, data.digits, training, data.carry_mix)
        if not data.schedule:
            if data.first_digits is not None or data.first_carry_mix is not None:
                raise ValueError("data.first_digits and data.first_carry_mix begin a schedule: set data.schedule too")
            return last
        if data.first_digits is None and data.first_carry_mix is None:
            raise ValueError("a schedule begins somewhere: set data.first_digits or data.first_carry_mix")
        if data.samples is not None and data.samples <= data.schedule:
            raise ValueError(
                f"a fixed set of {data.samples} samples comes again before a schedule of {data.schedule} has ended. "
                "Leave one out, or take a longer set"
            )
        if not isinstance(last, Uniform):
            raise ValueError("a schedule is for operands drawn uniformly over lengths. Leave data.schedule out")
        # What has no first value of its own does not move.
        low, high = data.first_digits or data.digits
        first = Uniform(low, high, last.carry_mix if data.first_carry_mix is None else data.first_carry_mix)
        return Scheduled(first, last, data.schedule) if training else last
    except ValueError as error:
        raise UsageError(str(error)) from error


def _sampler(uniform: str, digits: tuple[int, int], training: bool, carry_mix: float = 0.0) -> Sampler:
    low, high = digits
    if uniform == "lengths":
        return Uniform(low, high, carry_mix)
    if carry_mix:
        raise ValueError("a share of carry-heavy problems is for operands drawn uniformly over lengths. Leave one out")
    if uniform == "covering":
        # A configuration leaves few digits free, and of those problems an eighth is another split's: it may be none.
        return Covering(low, high) if training else Uniform(low, high)
    if low != 1:
        raise ValueError(f"operands uniform over values have 1 digit and more, got a shortest length of {low}")
    return UniformValues(high)
