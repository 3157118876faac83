"""arith show"""

import json
from pathlib import Path
from typing import Any

from arith.cli.framework import click
from arith.cli.options import config_from, import_option, json_option, run_options
from arith.errors import UsageError

PASSES = 12  # that are drawn unless others are chosen: a row of maps each


@click.group("show")
def command() -> None:
    """Look at what a model is given, and at what it looks at."""


@command.command("gallery", epilog="Example: arith show gallery --pictures docs/pictures > docs/gallery.md")
@click.option(
    "--pictures", type=click.Path(path_type=Path, file_okay=False), help="Folder into which encodings are drawn."
)
def gallery(pictures: Path | None) -> None:
    """Every task, format, suite, scheme and encoding with samples, as Markdown."""
    from arith.gallery.page import render_page

    if pictures is not None:
        from arith.gallery.pictures import draw

        draw(pictures)
    click.echo(render_page(), nl=False)


@command.command("records", epilog="Example: arith show records > docs/records.md")
def records() -> None:
    """Each claim beside the public number that it answers, from the committed results, as Markdown."""
    from arith.experiment.provenance import results_folder
    from arith.report.records import render_records

    if not (folder := results_folder()).is_dir():
        raise UsageError(f"records are read from the results of a checkout, and there is no folder {folder}")
    click.echo(render_records(folder), nl=False)


@command.command("kernels", epilog="Example: arith show kernels, as in kernels/README.md")
def kernels() -> None:
    """Which fused kernel of attention each encoding takes on a GPU, and why, as Markdown."""
    from arith.gallery.kernels import render_kernels

    click.echo(render_kernels(), nl=False)


@command.command("encoding", epilog="Example: arith show encoding rope --out rope")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Draw it too: png, pdf, svg and csv, without ending.")
@import_option
@json_option
def encoding(name: str, out: Path | None, as_json: bool) -> None:
    """One encoding: what it is, its settings, formula and source."""
    # The card is the one of the gallery, so that the two never disagree; a terminal shows no pictures.
    from arith.gallery.page import encoding_card
    from arith.process.hints import command_line

    card, files = "\n".join(encoding_card(name, pictured=False)).strip(), []
    if out is not None:
        from arith.gallery.pictures import draw_files

        files = draw_files(name, out)
    if as_json:
        click.echo(json.dumps({"encoding": name, "card": card, "files": [str(file) for file in files]}))
        return
    taken = f"\nTo take it along as one file: {command_line('eject', name)}"
    click.echo("\n".join([card, taken, *(f"figure   {file}" for file in files)]))


@command.command("scheme", epilog="Example: arith show scheme coupled")
@click.argument("name")
@import_option
@json_option
def scheme(name: str, as_json: bool) -> None:
    """One position scheme: what it is, its settings, formula and source."""
    from arith.gallery.page import scheme_card

    card = "\n".join(scheme_card(name, pictured=False)).strip()
    click.echo(json.dumps({"scheme": name, "card": card}) if as_json else card)


@command.command(
    "batch", epilog="Example: arith show batch addition --format padded-reversed --encoding coupled-window"
)
@click.argument("task", required=False)
@run_options
@click.option("--rows", type=click.IntRange(1), default=3, help="Samples shown.")
def batch(rows: int, **options: Any) -> None:
    """A few samples, token by token: position ids, and which tokens are learned."""
    import torch

    from arith.experiment.experiment import Experiment
    from arith.results.tables import align_columns
    from arith.tasks import vocabulary

    # The samples that training would begin with, as the model would get them: a look at them before hours are spent.
    experiment = Experiment.of(config_from(options))
    shown = experiment.training_data().batch(0, rows, torch.device("cpu"))
    encoding = experiment.encoding()
    ids = encoding.full(shown.prompt, shown.tokens, shown.key, shown.capacity)
    for row in range(rows):
        length = int(shown.length[row])
        tokens = shown.tokens[row, :length]
        lines = [["token", *(vocabulary.SYMBOLS[token] for token in tokens.tolist())]]
        lines += [["token id", *map(str, tokens.tolist())]]
        for scheme, scheme_ids in zip(encoding.schemes, ids, strict=True):
            for place, level in enumerate(scheme_ids, start=1):
                # Ids that all samples share have one row.
                positions = level[row if len(level) > 1 else 0, :length]
                label = f"{type(scheme).__name__.lower()} position" + (f" {place}" if scheme.levels > 1 else "")
                lines.append([label, *map(str, positions.tolist())])
        lines.append(["in the loss", *(".x"[learned] for learned in shown.answer_mask[row, :length].tolist())])
        click.echo(align_columns(lines) + "\n")
    click.echo(
        f"{experiment.config.task}, {experiment.config.format}, {experiment.config.encoding}. Position 0: no position."
    )
    click.echo("^ begins and $ ends a sequence. The loss is taken on the marked tokens alone.")


@command.command("attention", epilog="Example: arith show attention runs/addition-rope-0 123+45 --out attention")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("problem")
@click.option("--out", type=click.Path(path_type=Path), default=Path("attention"), help="The figure, without ending.")
@click.option("--passes", help="Runs of layers that are drawn, such as 1-2,7.  [default: the first 12]")
@json_option
def attention(run: Path, problem: str, out: Path, passes: str | None, as_json: bool) -> None:
    """What each head looks at in one problem: png, pdf, svg and csv.

    A layer in loops runs several times, each of which is a pass.
    """
    from arith.config.reading import digit_list
    from arith.evaluation.attention import attention_maps
    from arith.experiment.experiment import Experiment
    from arith.experiment.exported import open_model
    from arith.figures.attention import draw_attention

    trained = open_model(run)
    experiment = Experiment.of(trained.config)
    model, _ = trained.load_model(experiment)
    maps = attention_maps(experiment, model, problem)
    everything = range(1, len(maps.passes) + 1)
    chosen = everything[:PASSES] if passes is None else digit_list(passes)
    beyond = [number for number in chosen if number not in everything]
    if beyond:
        raise UsageError(f"this model has {len(everything)} passes, and none with the number {beyond[0]}")
    # Figures know no torch.
    weights = [maps.weights[number - 1].numpy() for number in chosen]
    drawn = [maps.passes[number - 1] for number in chosen]
    causal = trained.config.model.attention == "causal"
    files = draw_attention(maps.symbols, weights, out, drawn, of=maps.passes, causal=causal)
    if as_json:
        click.echo(json.dumps({"passes": [*chosen], "of": len(everything), "files": [str(file) for file in files]}))
        return
    if passes is None and len(everything) > PASSES:
        click.echo(f"drawn    the first {PASSES} of {len(everything)} passes; --passes chooses others")
    click.echo("\n".join(f"figure   {file}" for file in files))
