"""arith evaluate for models that read text: local ones of Hugging Face, and those behind any interface."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arith.cli.evaluate_endpoint import ask, open_endpoint
from arith.cli.framework import click
from arith.cli.text_options import TextOptions
from arith.config.requested import RequestedTests
from arith.errors import UsageError

if TYPE_CHECKING:
    from arith.evaluation.text.prompts import Respondent, TextTest
    from arith.results.schema import Condition, Results


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
    endpoint = open_endpoint(options) if options.endpoint is not None else None
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
        if options.hf is None and endpoint is None:
            assert options.prompts is not None
            _write_prompts(options.prompts, of, sets, options.model if options.openai else None)
            return
        if endpoint is not None:
            results = ask(endpoint, options, of, sets, who, path)
        else:
            assert options.hf is not None
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
    if chat is None and options.by_http:
        chat = not options.completions
    elif chat is None:
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


def _write_prompts(path: Path, of: "TextTest", sets: "Sequence[Condition]", batch_of: str | None) -> None:
    from arith.evaluation.text.interface import write_batch
    from arith.evaluation.text.prompts import write_prompts
    from arith.process.hints import command_line

    if path.exists():
        raise UsageError(f"{path} exists. Choose another --prompts, or remove it")
    lines = write_prompts(path, of, sets) if batch_of is None else write_batch(path, of, sets, batch_of)
    click.echo(f"prompts  {path}, {lines:,} lines")
    how = "Write a reply to each, as JSON lines of id and reply" if batch_of is None else "Run the batch"
    click.echo(f"{how}, and score them:")
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
    click.echo("Right is a reply whose number is the answer. Completions are read up to their first line break.")
    click.echo(f"results  {path}")
