"""arith evaluate for models that read text: local ones of Hugging Face, and those behind any interface."""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from arith.cli.framework import click
from arith.config.requested import RequestedTests
from arith.errors import UsageError

if TYPE_CHECKING:
    from arith.evaluation.text.prompts import Respondent, TextTest
    from arith.results.schema import Condition, Results

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("--hf", click.Path(path_type=Path), "Local folder of any causal model of Hugging Face, which replies to text."),
    ("--prompts", click.Path(path_type=Path), "File for prompts, a JSON line each; with --hf, for replies too."),
    ("--replies", click.Path(path_type=Path), "File of prompts' ids with replies, which are scored."),
    ("--partial", bool, "With --replies: missing ones count as failures, so that n is what was asked."),
    ("--shots", click.IntRange(0), "Solved problems before each prompt.  [default: 0]"),
    ("--ask", str, "A question in place of the bare problem: 'What is {problem}?'."),
    ("--chat/--no-chat", bool, "Ask in turns of a conversation.  [default: if --hf has a chat template]"),
    ("--max-tokens", click.IntRange(1), "Most tokens of a reply.  [default: the answer's, 8 more, 64 for a question]"),
    ("--at-once", click.IntRange(1), "Prompts in a batch of --hf.  [default: 32]"),
    ("--label", str, "What results call the model.  [default: the folder's or file's name]"),
    ("--trained-digits", str, "Digits of operands that the model was trained on, such as 1-4, for figures."),
)


@dataclasses.dataclass(frozen=True)
class TextOptions:
    """The options of `_OPTIONS`; None where one was not given."""

    hf: Path | None
    prompts: Path | None
    replies: Path | None
    partial: bool | None
    shots: int | None
    ask: str | None
    chat: bool | None
    max_tokens: int | None
    at_once: int | None
    label: str | None
    trained_digits: str | None

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.hf is None and self.prompts is None and self.replies is None:
            raise UsageError("name a run, a local model by --hf, or a file by --prompts or --replies")
        if self.replies is not None and (self.hf is not None or self.prompts is not None):
            raise UsageError("--replies scores what was replied: give it without --hf and --prompts")
        if self.partial and self.replies is None:
            raise UsageError("--partial is for --replies")

    @property
    def name(self) -> str:
        """What results call the model."""
        subject = self.hf or self.replies
        shots = f", {self.shots} shots" if self.shots else ""
        return self.label or (subject.stem if subject is not None else "") + shots


def text_options(command: Command) -> Command:
    """Options for models that read text."""
    for option, kind, text in reversed(_OPTIONS):
        # A flag that was not given is None, as any other option is.
        flag = {"is_flag": True, "default": None} if kind is bool else {"type": kind}
        command = click.option(option, help=text, **flag)(command)
    return command


def evaluate_by_text(
    tests: RequestedTests, out: Path | None, device: str, dry_run: bool, as_json: bool, options: TextOptions
) -> None:
    """Write prompts, ask a model, or score replies.

    Args:
        tests: the options that say what is asked.
    """
    from arith.config.reading import digit_range
    from arith.evaluation.text.prompts import UNKNOWN, Respondent
    from arith.evaluation.text.session import save_with_others, score_replies
    from arith.process.files import as_file_name

    options.check()
    trained = UNKNOWN if options.trained_digits is None else digit_range(options.trained_digits)
    who = Respondent(options.name, train_lengths=trained)
    path = out or Path(f"{as_file_name(options.name)}-evaluation.json")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    if options.replies is not None:
        asked = {name: getattr(options, name) for name in ("shots", "ask", "chat", "max_tokens")}
        _refuse_tests(vars(tests) | asked)
        results = score_replies(options.replies, who, options.partial or False)
    else:
        of, sets = _read_tests(tests, options)
        if dry_run:
            click.echo("\n".join(f"{test.suite} {test.digits} digits, {test.n} problems" for test in sets))
            example = of.problems(sets[-1]).prompts[0]
            click.echo(f"for example\n{example if isinstance(example, str) else json.dumps(example, indent=1)}")
            return
        if options.hf is None:
            assert options.prompts is not None
            _write_prompts(options.prompts, of, sets)
            return
        results = _ask_local_model(options.hf, device, of, sets, who, path, options.prompts, options.at_once or 32)
    _echo_results(results, save_with_others(results, path), path, as_json)


def _read_tests(tests: RequestedTests, options: TextOptions) -> "tuple[TextTest, list[Condition]]":
    """What is asked: a model that arith exported is tested on its own task and format, any other on plain addition."""
    from arith.catalogue.named import format_named, task_named
    from arith.evaluation.text.requested import request_text_tests
    from arith.evaluation.text.wording import Wording
    from arith.experiment.shipped import read_test_settings

    settings = {} if options.hf is None else read_test_settings(options.hf)
    of, sets = request_text_tests(tests, options.shots or 0, settings)
    chat = options.chat
    if chat is None:
        chat = options.hf is not None and _has_template(options.hf)
    wording = Wording.of(options.ask, chat, options.max_tokens, task_named(of.task), format_named(of.format))
    return dataclasses.replace(of, wording=wording), sets


def _has_template(folder: Path) -> bool:
    """Whether a local model is one to talk to."""
    # A real instruct model of 135M parameters knows 83% of sums of one digit asked in turns, and 15% of bare ones.
    from arith.process.hints import require_package

    require_package("transformers", "hf")
    from arith.hf.generation import open_tokenizer

    return open_tokenizer(folder).chat_template is not None


def _refuse_tests(options: Mapping[str, Any]) -> None:
    """Replies carry their tests in their ids, which options could only contradict."""
    given = next((name for name, value in options.items() if value is not None), None)
    if given is not None:
        raise UsageError(f"the ids of replies say what was asked: leave out --{given.replace('_', '-')}")


def _write_prompts(path: Path, of: "TextTest", sets: "Sequence[Condition]") -> None:
    from arith.evaluation.text.prompts import write_prompts
    from arith.process.hints import command_line

    if path.exists():
        raise UsageError(f"{path} exists. Choose another --prompts, or remove it")
    click.echo(f"prompts  {path}, {write_prompts(path, of, sets):,} lines")
    click.echo("Write a reply to each, as JSON lines of id and reply, and score them:")
    click.echo(command_line("evaluate", "--replies", "FILE"))


def _ask_local_model(
    folder: Path,
    device: str,
    of: "TextTest",
    sets: "Sequence[Condition]",
    who: "Respondent",
    path: Path,
    transcript: Path | None,
    at_once: int,
) -> "Results":
    from arith.evaluation.text.session import ask_sets
    from arith.process.hints import command_line, require_package
    from arith.process.signals import Interrupted
    from arith.training.environment import find_device

    require_package("transformers", "hf")
    from arith.hf.generation import TextModel

    model = TextModel.load(folder, find_device(device))
    parameters = sum(tensor.numel() for tensor in model.model.parameters())
    who = dataclasses.replace(who, kind=model.model.config.model_type, parameters=parameters)
    try:
        return ask_sets(model, of, sets, who, path, transcript, at_once)
    except KeyboardInterrupt:
        raise Interrupted(command_line(*sys.argv[1:])) from None


def _echo_results(results: "Results", kept: "Results", path: Path, as_json: bool) -> None:
    """Print what was measured now; as JSON, all that the file holds."""
    from arith.evaluation.text.reply import count_kinds
    from arith.results.tables import interval_table

    if as_json:
        click.echo(json.dumps({"cells": [dataclasses.asdict(cell) for cell in kept.cells]}))
        return
    click.echo(interval_table(results.cells))
    if failures := count_kinds(cell.measures for cell in results.cells):
        click.echo(f"not right: {failures}")
    wording = results.about["wording"]
    if wording.get("ask"):
        click.echo(f"asked {'in a conversation' if wording['chat'] else 'as text'}: {wording['ask']}")
    click.echo("Right is a reply whose number, of plain text in its first line for --hf, is the answer.")
    click.echo(f"results  {path}")
