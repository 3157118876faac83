"""Tasks, formats and samplers by name, as they are written on the command line and in recipes. No torch."""

from arith.catalogue import TASKS
from arith.errors import UsageError, did_you_mean
from arith.settings import made
from arith.spec import parse_name
from arith.tasks import formats
from arith.tasks.base import Task
from arith.tasks.formats import Format
from arith.tasks.sampling import Sampler, Uniform, UniformValues


def task_named(text: str) -> Task:
    """The task that a text such as `addition:operands=3` names.

    >>> task_named("reverse:distinct=true")
    Reverse(distinct=True)
    """
    named = parse_name(text, "a task")
    task: Task = made(TASKS.load(named.name), named, "task", {}, {})
    return task


def format_named(text: str) -> Format:
    """The format that a text such as `padded-reversed:width=15` names."""
    try:
        return formats.parse(text)
    except ValueError as error:
        name = text.partition(":")[0]
        hint = "" if name in formats.NAMED else did_you_mean(name, formats.NAMED)
        raise UsageError(f"{error}{hint}") from error


def sampler_named(uniform: str, digits: tuple[int, int], carry_mix: float = 0.0) -> Sampler:
    """How training problems are drawn: uniform over `lengths` or over `values`.

    >>> sampler_named("values", (1, 4))
    UniformValues(digits=4)
    """
    low, high = digits
    if uniform == "lengths":
        return Uniform(low, high, carry_mix)
    if carry_mix:
        raise ValueError("a share of carry-heavy problems is for operands drawn uniformly over lengths. Leave one out")
    if low != 1:
        raise ValueError(f"operands uniform over values have 1 digit and more, got a shortest length of {low}")
    return UniformValues(high)
