"""arith export"""

import json
from pathlib import Path

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError


@click.command(
    "export",
    epilog="Examples: arith export runs/addition-rope-0 --to adder; "
    "arith export runs/extrapolation/coupled-window-301 --ship addition",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), help="Folder to make.")
@click.option("--ship", metavar="NAME", help="Instead: make it one of the models that come with arith (a checkout).")
@click.option("--overwrite", is_flag=True, help="Replace a model that is there.")
@json_option
def command(run: Path, folder: Path | None, ship: str | None, overwrite: bool, as_json: bool) -> None:
    """Write a run's model as a folder of Hugging Face, with tokenizer, results and a card made from them.

    AutoModelForCausalLM loads it after `import arith.hf.model`, or with trust_remote_code.
    """
    if (folder is None) == (ship is None):  # both or neither
        raise UsageError("give the folder to make, --to DIR, or a name to ship it under, --ship NAME")

    from arith.process.files import as_file_name

    # A path would lead out of the folder of shipped models, or into one of them.
    if ship is not None and (ship != as_file_name(ship) or not ship.strip(".")):
        raise UsageError(f"--ship takes a name of letters, digits, dashes and dots, such as addition; got '{ship}'")

    from arith.config.pretrained import is_model
    from arith.experiment import shipped
    from arith.process.hints import command_line, require_package

    # Before any import that needs it, so that its absence is a message and not a traceback.
    require_package("transformers", "hf")
    from arith.experiment.exported import open_model
    from arith.experiment.hf_folder import without_bars
    from arith.hf.exporting import export_model

    place = folder if folder is not None else shipped.FOLDER / str(ship)
    if place.exists() and any(place.iterdir()):
        if not is_model(place):
            raise UsageError(f"{place} exists and is no exported model, so it is left alone. Choose another")
        if not overwrite:
            raise UsageError(f"{place} exists. Replace it by --overwrite, or choose another")
    # A run that began with a pretrained model may be exported: it becomes an ordinary model of transformers again.
    trained = open_model(run, pretrained=True)
    with without_bars():
        export_model(trained, place, ship or place.name)
    weights = (place / "model.safetensors").stat().st_size
    if ship and weights > shipped.LARGEST:
        raise UsageError(
            f"{place} is written, but its {weights:,} bytes are more than the {shipped.LARGEST:,} of a model that is "
            f"shipped. Remove it, or train a smaller one"
        )
    if as_json:
        click.echo(json.dumps({"model": str(place), "bytes": weights, "card": str(place / "README.md")}))
        return
    click.echo(f"model    {place}, {weights:,} bytes\ncard     {place / 'README.md'}")
    if trained.config.reads_text:
        tested = "--hf", str(place), "--format", trained.config.tested_format
        click.echo(f"test it  {command_line('evaluate', *tested)}")
    else:
        click.echo(f"ask it   {command_line('ask', ship or str(place), 'PROBLEM')}")
