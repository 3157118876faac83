"""Builds tasks and formats from their names, as the command line and recipes write them. No torch."""

from collections.abc import Callable
from dataclasses import replace

from arith.catalogue.entries import DECORATIONS, TASKS, WORKINGS
from arith.catalogue.settings import construct, errors_about
from arith.catalogue.spec import parse_name, parse_sum
from arith.errors import UsageError, did_you_mean
from arith.tasks import formats
from arith.tasks.base import Task
from arith.tasks.formats import PADS, First, Format, Pad

FORMAT_EXAMPLE = "plain, padded-reversed:width=15, reversed+hints or plain+spaces:share=0.3+recursive"


def task_named(text: str) -> Task:
    """Build the task that a text names.

    Args:
        text: the task's name, with settings after a colon.

    Raises:
        UsageError: there is no such task, or it has no such setting.

    >>> task_named("reverse:distinct=true")
    Reverse(distinct=True)
    """
    named = parse_name(text, "a task")
    task: Task = construct(TASKS.load(named.name), named, "task", {}, {})
    return task


def format_named(text: str) -> Format:
    """Build the format that a text names: order and padding of the digits, and what is added to them.

        format   = base { "+" decoration | "+" working }, each with settings after a colon

    Args:
        text: the format's name.

    Raises:
        UsageError: a part has no such name or setting, or there are two parts of a kind.

    >>> str(format_named("padded-reversed:width=15+hints+scratchpad"))
    'padded-reversed:width=15+hints+scratchpad'
    """
    base, *parts = parse_sum(text, "a format", FORMAT_EXAMPLE)
    if base.name not in formats.NAMED:
        raise UsageError(
            f"no format is called '{base.name}'.{did_you_mean(base.name, formats.NAMED)} "
            f"Formats: {', '.join(formats.NAMED)}. Write for example {FORMAT_EXAMPLE}"
        )
    found: Format = construct(_base(base.name), base, "format", {}, {})
    kinds = {"decoration": DECORATIONS, "working": WORKINGS}
    # In any order, as each part goes to a field of its own.
    for part in parts:
        kind = next((kind for kind, known in kinds.items() if part.name in known.names()), None)
        if kind is None:
            every = sorted(name for known in kinds.values() for name in known.names())
            raise UsageError(
                f"nothing that a format adds is called '{part.name}'.{did_you_mean(part.name, every)} "
                f"Decorations: {', '.join(DECORATIONS.names())}. Workings: {', '.join(WORKINGS.names())}"
            )
        if getattr(found, kind) is not None:
            raise UsageError(f"a format has one {kind}: '{text}' asks for {getattr(found, kind).name} and {part.name}")
        added = construct(kinds[kind].load(part.name), part, kind, {}, {})
        with errors_about(text):
            found = replace(found, **{kind: added})
    return found


def _base(name: str) -> Callable[..., Format]:
    """A constructor for the base of a format, whose parameters are the settings that this base has."""
    # Functions, not `replace` with any field: `construct` reads settings off the parameters, and refuses a width where
    # nothing is padded.
    named = formats.NAMED[name]
    if not named.pad_answer:

        def plain(first: First = "given") -> Format:
            return replace(named, longest_first=first == "longest")

        return plain

    def pad_numbers(width: int | None = None, pad: Pad = "both", spare: int = 0, first: First = "given") -> Format:
        operands, answer = PADS[pad]
        padded = replace(named, width=width, spare=spare, pad_operands=operands, pad_answer=answer)
        return replace(padded, longest_first=first == "longest")

    return pad_numbers
