"""arith report"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import RunError, UsageError

if TYPE_CHECKING:
    from arith.report.build import Extras
    from arith.report.parts.attention import Heads
    from arith.report.parts.failures import Failure
    from arith.report.sources import Source
    from arith.results.schema import Anatomy

PASSES = 12  # whose heads are drawn: beyond it a page of maps is scrolled past
KEPT = 40  # wrong answers of each suite and length that are looked through for those on the page
MODELS = 4  # runs whose heads are drawn


@click.command(
    "report",
    epilog="Examples: arith report runs/addition-rope-0 --out rope.html; arith report results/extrapolation.json; "
    "arith report --compare runs/addition-rope-0 runs/addition-t5-0; arith report runs/rope rope.jsonl",
)
@click.argument("sources", nargs=-1, required=True, metavar="RUN|RESULTS...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("report.html"), help="The page.")
@click.option("--compare", is_flag=True, help="Set the second against the first: differences with intervals.")
@click.option("--problem", help="Whose attention is drawn, such as 123+45.  [default: one of the task]")
@click.option("--title", help="Above the page.  [default: the names of what is reported on]")
@json_option
def command(
    sources: tuple[Path, ...], out: Path, compare: bool, problem: str | None, title: str | None, as_json: bool
) -> None:
    """Write one page of HTML to show to others: no other file and no network is needed to read it.

    Accuracy with intervals, grids of operand lengths, training, why answers are wrong, wrong answers digit under digit,
    attention, settings and the commands that make it again. Of a results file, what needs the run is left out and
    named. A predictions file (.jsonl) beside a run or a results file brings its wrong answers.
    """
    from arith.experiment.shipped import find_model, names
    from arith.process.files import building, write_errors
    from arith.process.hints import current_command
    from arith.report.build import build_parts, describe
    from arith.report.page import render_page
    from arith.report.parts.provenance import commands_of, without_paths
    from arith.report.sources import name_apart, read_source

    if compare and len(sources) != 2:
        raise UsageError(f"--compare takes two runs or results files, the first and the second; got {len(sources)}")
    # A name such as `addition` is a shipped model, unless there is a file or folder of that name.
    places = [find_model(place) if str(place) in names() and not place.exists() else place for place in sources]
    read = [read_source(place) for place in places]
    if len({source.name for source in read}) < len(read):
        read = [
            dataclasses.replace(source, name="/".join(place.parts[-2:]))
            for source, place in zip(read, places, strict=True)
        ]
    if compare:
        read = name_apart(read)
    there = ", ".join(map(str, sources))
    extras = _collect(read, problem, compare)
    try:
        parts, missing = build_parts(read, extras, compare)
    except UsageError as error:
        raise UsageError(f"{there}: {error}") from error
    heading = title or (" against ".join(source.name for source in reversed(read)) if compare else _name(read))
    commands = commands_of(
        {source.name: source.record for source in read}, {source.name: source.results.about for source in read}
    )
    text, shown, left_out = render_page(
        heading, describe(read), parts, missing, commands, without_paths(current_command())
    )
    with write_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with building(out) as aside:
            aside.write_text(text, encoding="utf-8")
    if as_json:
        missed = [dataclasses.asdict(one) for one in left_out]
        size = len(text.encode())
        click.echo(json.dumps({"file": str(out), "bytes": size, "parts": shown, "left_out": missed}))
        return
    for one in left_out:
        click.echo(f"left out {one.title}: {one.why}{f': {one.command}' if one.command else ''}")
    click.echo(f"report   {out}")


def _name(read: "Sequence[Source]") -> str:
    listed = ", ".join(source.name for source in read[:3])
    return listed + (f" and {len(read) - 3} more" if len(read) > 3 else "")


def _collect(read: "Sequence[Source]", problem: str | None, compare: bool) -> "Extras":
    """What takes the task or the model: classes of wrong answers, and attention."""
    from arith.report.build import Extras

    failures: list[Failure] = []
    anatomies: list[Anatomy] = []
    for source in read:
        wrong, classified = _classify(source)
        failures += wrong
        anatomies += classified
    folders = [source for source in read if source.folder is not None][:MODELS]
    heads: list[Heads] = []
    refused: list[str] = []
    for source in folders:
        try:
            heads.append(_attend(source, problem))
        except (UsageError, RunError) as error:
            # A part that a run cannot have is no reason to have no page: a run of other tokens, one without weights.
            if problem is not None and not isinstance(error, RunError):
                raise
            refused.append(f"{source.name}: {error}")
    extras = Extras(failures, anatomies, heads, paired=_pair(read) if compare else (), axis=_axis(read))
    return dataclasses.replace(extras, no_heads="; ".join(refused)) if refused else extras


def _axis(read: "Sequence[Source]") -> str:
    """What digits count: as the recipe says it whose results these are, if they are all of one kind."""
    from arith.config.recipe import load, names
    from arith.results.figure_plan import PLAIN

    known = set(names())
    recipes = {source.results.about.get("recipe") for source in read}
    axes = {load(name).figure_plan.axis if name in known else PLAIN.axis for name in recipes}
    return axes.pop() if len(axes) == 1 else PLAIN.axis


def _classify(source: "Source") -> "tuple[list[Failure], list[Anatomy]]":
    """Wrong answers in a source's predictions, some of each test set, and the anatomy of all of them."""
    if not source.predictions:
        return [], []
    from arith.catalogue.named import task_named
    from arith.evaluation.failures import classify
    from arith.evaluation.rescore import rescore
    from arith.report.parts.failures import Failure
    from arith.results.error_classes import merge_anatomies

    failures, parts = [], []
    for path in source.predictions:
        # Scored again, as a file that somebody edited or cut would otherwise be shown as it is.
        _, gathered = rescore(path, KEPT)
        task, label = task_named(gathered.tested.task), gathered.tested.label
        for rows in filter(None, gathered.failures.values()):
            kinds = zip(rows, classify(task, rows), strict=True)
            failures += [Failure(source.renamed.get(label, label), row, kind) for row, kind in kinds]
        parts += gathered.anatomy()
    named = [dataclasses.replace(part, label=source.renamed.get(part.label, part.label)) for part in parts]
    return failures, merge_anatomies(named)


def _attend(source: "Source", problem: str | None) -> "Heads":
    """The attention of a run's model over a problem."""
    from arith.data.typed import example_problem
    from arith.evaluation.attention import attention_maps
    from arith.experiment.experiment import Experiment
    from arith.experiment.exported import open_model
    from arith.report.parts.attention import Heads

    assert source.folder is not None
    trained = open_model(source.folder)
    experiment = Experiment.of(trained.config)
    model, _ = trained.load_model(experiment)
    asked = problem or example_problem(experiment.tests.task)
    maps = attention_maps(experiment, model, asked)
    return Heads(
        source.name,
        asked,
        maps.symbols,
        [weights.numpy() for weights in maps.weights[:PASSES]],  # the page knows no torch
        maps.passes[:PASSES],
        len(maps.passes),
        maps.passes.count((1, 0)) > 0,
        trained.config.model.attention == "causal",
    )


def _pair(read: "Sequence[Source]") -> list[list[str]]:
    """Tests on the same problems, where both sources have predictions of them."""
    if not all(len(source.predictions) == 1 for source in read):
        return []
    from arith.evaluation.compare import answers_of_file, compare
    from arith.results.uncertainty import percent

    answers = [answers_of_file(source.predictions[0]) for source in read]
    if answers[0].keys() != answers[1].keys():
        return []  # of other problems, which are not paired
    rows = [["suite", "digits", "n", "first %", "second %", "only first", "only second", "corrected p", "second is"]]
    for row in compare([source.name for source in read], answers):
        digits = "all" if row.digits is None else str(row.digits)
        counts = [str(row.only_first), str(row.only_second), f"{row.corrected:.2g}", row.verdict]
        rows.append([row.suite or "all", digits, str(row.n), *map(percent, row.accuracies), *counts])
    return rows
