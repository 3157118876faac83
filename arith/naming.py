"""Tasks and formats by name, as they are written on the command line and in recipes. No torch."""

from arith.catalogue import TASKS
from arith.errors import UsageError, did_you_mean
from arith.settings import made
from arith.spec import parse_name
from arith.tasks import formats
from arith.tasks.base import Task
from arith.tasks.formats import Format


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
