"""arith evaluate for models that read text: local ones of Hugging Face, and those behind any interface."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from arith.cli.framework import click
from arith.config.requested import RequestedTests
from arith.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])
TASK, FORMAT, DIGITS, SAMPLES, SEED = "addition", "plain", "1-5", 100, 2311

_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("--hf", click.Path(path_type=Path), "Local folder of any causal model of Hugging Face, which replies to text."),
    ("--prompts", click.Path(path_type=Path), "File for prompts, a JSON line each; with --hf, for replies too."),
    ("--replies", click.Path(path_type=Path), "File of prompts' ids with replies, which are scored."),
    ("--shots", click.IntRange(0), "Solved problems before each prompt.  [default: 0]"),
    ("--at-once", click.IntRange(1), "Prompts in a batch of --hf.  [default: 32]"),
    ("--label", str, "What results call the model.  [default: the folder's or file's name]"),
    ("--trained-digits", str, "Digits of operands that the model was trained on, such as 1-4, for figures."),
)


def text_options(command: Command) -> Command:
    """Options for models that read text."""
    for option, kind, text in reversed(_OPTIONS):
        command = click.option(option, type=kind, help=text)(command)
    return command


def evaluate_by_text(
    tests: RequestedTests,
    out: Path | None,
    device: str,
    dry_run: bool,
    as_json: bool,
    *,
    hf: Path | None,
    prompts: Path | None,
    replies: Path | None,
    shots: int | None,
    at_once: int | None,
    label: str | None,
    trained_digits: str | None,
) -> None:
    """Write prompts, ask a local model, or score replies.

    Args:
        tests: the options that say what is asked.
    """
    from arith.config.reading import digit_list, digit_range
    from arith.evaluation.text.prompts import UNKNOWN, Respondent, TextTest, write_prompts
    from arith.evaluation.text.session import ask_sets, save_with_others, score_replies
    from arith.experiment.shipped import read_test_settings
    from arith.process.files import as_file_name
    from arith.process.hints import command_line
    from arith.process.signals import Interrupted
    from arith.results.schema import Results
    from arith.results.tables import interval_table
    from arith.training.environment import find_device

    if hf is None and prompts is None and replies is None:
        raise UsageError("name a run, a local model by --hf, or a file by --prompts or --replies")
    if replies is not None and (hf is not None or prompts is not None):
        raise UsageError("--replies scores what was replied: give it without --hf and --prompts")
    trained = UNKNOWN if trained_digits is None else digit_range(trained_digits)
    subject = hf or replies
    name = label or (subject.stem if subject is not None else "") + (f", {shots} shots" if shots else "")
    path = out or Path(f"{as_file_name(name)}-evaluation.json")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    if replies is not None:
        told = next((option for option, value in vars(tests).items() if value is not None), None)
        if told is not None or shots is not None:
            said = (told or "shots").replace("_", "-")
            raise UsageError(f"the ids of replies say what was asked: leave out --{said}")
        results = score_replies(replies, Respondent(name, train_lengths=trained))
    else:
        own = {} if hf is None else read_test_settings(hf)
        of = TextTest(
            tests.task or own.get("task", TASK),
            tests.format or own.get("format", FORMAT),
            SEED if tests.seed is None else tests.seed,
            shots or 0,
        )
        samples = SAMPLES if tests.samples is None else tests.samples
        sets = []
        suites = None if tests.suites is None else tests.suites.split(",")
        if tests.by_suite:
            sets = of.sets(digit_list(tests.test_digits or DIGITS), suites or ("random",), samples)
        if tests.grid is not None:
            sets += of.grid(tests.grid, samples)
        if dry_run:
            click.echo("\n".join(f"{test.suite} {test.digits} digits, {test.n} problems" for test in sets))
            click.echo(f"for example\n{of.problems(sets[-1]).prompts[0]}")
            return
        if hf is None:
            assert prompts is not None
            if prompts.exists():
                raise UsageError(f"{prompts} exists. Choose another --prompts, or remove it")
            count = write_prompts(prompts, of, sets)
            click.echo(f"prompts  {prompts}, {count:,} lines")
            click.echo("Write a reply to each, as JSON lines of id and reply, and score them:")
            click.echo(command_line("evaluate", "--replies", "FILE"))
            return
        from arith.process.hints import require_package

        require_package("transformers", "hf")
        from arith.hf.generation import TextModel

        model = TextModel.load(hf, find_device(device))
        parameters = sum(own.numel() for own in model.model.parameters())
        who = Respondent(name, model.model.config.model_type, parameters, trained)
        try:
            results = ask_sets(model, of, sets, who, path, prompts, at_once or 32)
        except KeyboardInterrupt:
            raise Interrupted(command_line(*sys.argv[1:])) from None
    kept = save_with_others(results, path)
    if as_json:
        click.echo(json.dumps({"cells": [dataclasses.asdict(cell) for cell in kept.cells]}))
        return
    click.echo(interval_table(Results(results.cells).cells))
    click.echo("Right is a reply whose last number, in its first line for --hf, is the answer.")
    click.echo(f"results  {path}")
