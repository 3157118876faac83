"""Options that several commands share, and the configuration that they describe."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from arith.catalogue.registry import import_file
from arith.cli.framework import click
from arith.config import recipe
from arith.config.reading import expand_preset, merge_tables, nest_setting
from arith.config.schema import RunConfig
from arith.config.starting import fill_in
from arith.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

# Option, the setting that it sets, its type, its help. None has a default, so that what is not given leaves a recipe's
# value as it is.
_SETTINGS: tuple[tuple[str, str, Any, str], ...] = (
    ("--format", "format", str, "How digits are written: arith list formats."),
    (
        "--encoding",
        "encoding",
        str,
        "How positions are encoded, such as rope, t5+abacus, learned@coupled: arith list encodings.",
    ),
    ("--digits", "data.digits", str, "Digits of operands in training, such as 1-4."),
    ("--test-digits", "evaluation.digits", str, "Digits of operands in tests, such as 1-6,10,20."),
    ("--model", "model.preset", str, "A model's shape: arith list models."),
    ("--steps", "training.steps", int, "Training steps."),
    ("--batch", "training.batch", int, "Samples a step."),
    ("--learning-rate", "training.learning_rate", float, "Highest learning rate."),
    ("--samples", "evaluation.samples", int, "Problems a test set."),
    ("--device", "training.device", str, "auto, cpu or cuda."),
    ("--precision", "training.precision", str, "float32, tf32 or bfloat16."),
)


def _parameter(option: str) -> str:
    """The name that click gives an option, and that its environment variable ends with: ARITH_TRAIN_TEST_DIGITS."""
    return option.removeprefix("--").replace("-", "_")


def run_options(command: Command) -> Command:
    """Add the options that decide what a run is."""
    # Decorators apply from the inside out, so the last one added comes first in the help.
    for option, _, kind, text in reversed(_SETTINGS):
        command = click.option(option, type=kind, help=text)(command)
    # One seed for the two of a configuration: varying only one is for studies, by --set model.seed or data.seed.
    command = click.option("--seed", type=int, help="Seed of the model and of its training data.")(command)
    command = click.option(
        "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Any other setting, such as model.layers=6."
    )(command)
    # Kept: a run's configuration names the files that it needs.
    command = import_option(command, kept=True)
    return click.option(
        "--recipe", "recipe_name", metavar="NAME[:LABEL]", help="Settings to start from: arith list recipes."
    )(command)


def import_option(command: Command, kept: bool = False) -> Command:
    """Add --import, for encodings, schemes and tasks of the user's own; the files are imported, and kept if asked."""
    return click.option(
        "--import",
        "imports",
        multiple=True,
        metavar="FILE",
        # Before the command looks up any name: what the files register counts as if it came with arith.
        callback=_import_files,
        expose_value=kept,
        help="A Python file that registers encodings, tasks or formats of your own.",
    )(command)


def _import_files(context: click.Context, parameter: click.Parameter, paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        import_file(path)
    return paths


def json_option(command: Command) -> Command:
    """Add --json, for programs that read the output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def overrides(options: dict[str, Any]) -> dict[str, Any]:
    """Collect the settings that options give, as nested tables.

    Args:
        options: the parsed options, None where one is not given.

    >>> overrides({"steps": 100, "seed": 1, "assignments": ("model.seed=2",)})
    {'training': {'steps': 100}, 'model': {'seed': 2}, 'data': {'seed': 1}}
    """
    values: dict[str, Any] = {}
    for option, setting, _, _ in _SETTINGS:
        given = options.get(_parameter(option))
        if given is not None:
            values = merge_tables(values, nest_setting(setting, given))
    # One option for both: who says --samples 50 does not expect 400 problems at 200 digits.
    if options.get("samples") is not None:
        values = merge_tables(values, {"evaluation": {"long_samples": options["samples"]}})
    if options.get("task") is not None:
        values["task"] = options["task"]
    if options.get("seed") is not None:
        values = merge_tables(values, {"model": {"seed": options["seed"]}, "data": {"seed": options["seed"]}})
    # Absolute, as the run may be resumed from another folder.
    if options.get("imports"):
        values["imports"] = [str(Path(path).resolve()) for path in options["imports"]]
    # Last, so that --set wins over an option for the same setting.
    for assignment in options.get("assignments", ()):
        values = merge_tables(values, nest_setting(*read_assignment(assignment)))
    return values


def config_from(options: dict[str, Any], base: RunConfig | None = None) -> RunConfig:
    """Create the configuration that the options describe.

    The command line has precedence over the environment, that over the recipe, and that over defaults.

    Args:
        options: the parsed options, in which click has merged command line and environment.
        base: the configuration to start from if no recipe is named; the defaults if None.

    Raises:
        UsageError: there is no such recipe, or a setting is wrong.
    """
    given = overrides(options)
    if base is not None and not options.get("recipe_name"):
        return base.with_values(given)
    values = recipe.load_values(options["recipe_name"]) if options.get("recipe_name") else {}
    # Presets first: one that is given replaces all that the recipe's stands for. Then what neither gives, if training
    # begins with a run.
    return RunConfig.of(fill_in(merge_tables(expand_preset(values), expand_preset(given))))


def read_assignment(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE, where the value is written as in TOML, or is a text without quotes.

    Args:
        text: the assignment.

    Raises:
        UsageError: there is no name or no equals sign.

    >>> read_assignment("model.layers=6"), read_assignment("encoding=rope")
    (('model.layers', 6), ('encoding', 'rope'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--set takes NAME=VALUE, such as model.layers=6; got '{text}'")
    # The value of a recipe's line can be pasted: numbers, true, lists. A shell takes quotes away, so a bare text, which
    # is no TOML, means itself. So does what only looks like it: further lines, or more digits than Python reads.
    try:
        parsed = tomllib.loads(f"value = {value}") if "\n" not in value else {}
    except (ValueError, RecursionError):
        parsed = {}
    return name.strip(), parsed.get("value", value)
