"""arith train"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from arith.cli.framework import click
from arith.cli.options import config_from, json_option, run_options
from arith.config import pretrained, starting
from arith.errors import UsageError

if TYPE_CHECKING:
    from arith.experiment.experiment import Experiment
    from arith.experiment.run import Run, WhenThere
    from arith.results.schema import Results


@click.command(
    "train",
    epilog="Examples: arith train addition --encoding rope --digits 1-3 --steps 500; "
    "arith train --recipe extrapolation:coupled-window --out runs/window; "
    "arith train subtraction --init run:runs/sums --digits 1-3; "
    "arith train multiplication --init hf:models/gpt2 --format plain+groups:size=1 --digits 1-5; "
    "arith train addition --init hf:models/gpt2 --encoding own+learned:std=0.02@coupled --format reversed",
)
@click.argument("task", required=False)
@run_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run.  [default: runs/TASK-ENCODING-SEED]")
@click.option("--resume", is_flag=True, help="Resume the run in --out.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@click.option(
    "--init",
    metavar="run:PLACE|hf:FOLDER",
    help="Begin with a run, an exported or a shipped model, or a local pretrained causal model of Hugging Face.",
)
@click.option("--step", type=click.IntRange(1), help="The step of the run in --init, if not its last one.")
@click.option("--minutes", type=float, help="Train for so long: as many steps as fit are measured first.")
@click.option("--deterministic", is_flag=True, default=None, help="The same bits again, on a GPU too.")
@click.option("--tensorboard", is_flag=True, default=None, help="Metrics for TensorBoard as well.")
@click.option("--dry-run", is_flag=True, help="Print settings, size, time and memory, and stop.")
@json_option
def command(
    out: Path | None,
    resume: bool,
    overwrite: bool,
    init: str | None,
    step: int | None,
    minutes: float | None,
    deterministic: bool | None,
    tensorboard: bool | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train one model, test it by digit length, and draw its figure."""
    if resume and overwrite:
        raise UsageError("--resume continues a run and --overwrite replaces it: give one of them")
    if resume and out is None:
        raise UsageError("--resume needs --out, the folder of the run")
    if resume and minutes is not None:
        raise UsageError("a run's steps were fixed when it began: give --resume without --minutes")
    # Options without a field of their own become settings, as if they were given by --set.
    if init is not None and init.startswith(starting.RUN):
        options["assignments"] = (*options["assignments"], f"model.init={starting.make_absolute(init)}")
    elif init is not None:
        if options["encoding"] is None:
            options["encoding"] = pretrained.ENCODING
        options["assignments"] = (*options["assignments"], f"model.init={pretrained.make_absolute(init)}")
    if step is not None:
        options["assignments"] = (*options["assignments"], f"model.init_step={step}")
    for name, value in (("deterministic", deterministic), ("tensorboard", tensorboard)):
        if value is not None:
            options["assignments"] = (*options["assignments"], f"training.{name}={str(value).lower()}")

    from arith.experiment.experiment import Experiment
    from arith.experiment.run import Run
    from arith.experiment.starting import check_start
    from arith.performance import estimate
    from arith.process.files import as_file_name
    from arith.training.budget import for_minutes
    from arith.training.distributed import several
    from arith.training.environment import find_device

    # A resumed run starts from its own settings, so that --resume --out RUN alone is enough.
    config = config_from(options, Run.open(out).config if resume and out is not None else None)
    experiment = Experiment.of(config)
    find_device(config.training.device)  # before a folder is made
    if not resume:  # else the run has weights of its own
        check_start(experiment)
    if minutes is not None:
        if several():
            raise UsageError("--minutes measures one process: fix the steps with it first, then give --steps to all")
        # The number of steps becomes a setting: the run can be repeated on a machine of another speed.
        experiment = Experiment.of(config := for_minutes(config, minutes))
    if dry_run:
        click.echo(estimate.report(experiment, as_json))
        return
    run = Run(out or Path("runs") / as_file_name(f"{config.task}-{config.encoding}-{config.model.seed}"), config)
    results = _train_and_test(run, experiment, "resume" if resume else "overwrite" if overwrite else "refuse")
    if results is not None:
        _report(run, experiment, results, as_json)


def _train_and_test(run: "Run", experiment: "Experiment", when_there: "WhenThere") -> "Results | None":
    """Train a run in all processes that torchrun started, and test it in the first; None in the others."""
    from arith.experiment.run import Run
    from arith.process.lock import lock_folder
    from arith.sweeps.worker import run_and_test
    from arith.training.distributed import join_world, local_device
    from arith.training.environment import find_device
    from arith.training.loop import train

    # Only the first process writes. Each of its waits meets one of the others: one more or less, and all wait for ever.
    with join_world(local_device(find_device(run.config.training.device))) as world:
        if not world.first:
            world.wait()  # until the folder is there
            train(run, experiment, world)
            world.wait()  # until all is tested
            return None
        with lock_folder(run.folder):
            Run.begin(run.folder, run.config, when_there)
            world.wait()
            try:
                results = run_and_test(run, experiment, run.config.encoding, world)
            except UsageError:
                run.remove_unused()  # or the retry, with the mistake mended, would find that the folder exists
                raise
            world.wait()
    return results


def _report(run: "Run", experiment: "Experiment", results: "Results", as_json: bool) -> None:
    """Draw the figure; print the table, the files, and the command that comes next."""
    from arith.data.typed import example_problem
    from arith.figures.report import draw_report
    from arith.process.hints import command_line
    from arith.results.tables import accuracy_table, tables_of_language

    drawn, files = draw_report(results, run.folder / "figures" / "accuracy", run.config.encoding)
    if as_json:
        click.echo(run.results.read_text(encoding="utf-8"))
        return
    click.echo(accuracy_table(drawn))
    for table in tables_of_language(results.language):
        click.echo(table)
    click.echo(f"run      {run.folder}\nresults  {run.results}\nfigure   {files[0]}")
    # `arith ask` writes problems in arith's own tokens.
    if run.config.reads_text:
        click.echo(f"write it {command_line('export', str(run.folder), '--to', 'DIR')}")
    else:
        click.echo(f"ask it   {command_line('ask', str(run.folder), example_problem(experiment.tests.task))}")
