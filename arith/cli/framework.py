"""rich-click where it is installed, plain click where it is not; and panels for long lists of options in its help."""

from collections.abc import Mapping

# rich-click is click with colours and tables in its help, and the same interface.
try:
    import rich_click as click
except ImportError:
    import click  # type: ignore[no-redef]

__all__ = ["click"]

# Options of a command that are not named here come last, under "Options".
PANELS: Mapping[str, Mapping[str, str]] = {
    "train": {
        "Problem and model": "--recipe --format --encoding --digits --model --init --step --set --import",
        "Training": "--steps --minutes --batch --learning-rate --seed --device --precision --deterministic",
        "Tests": "--test-digits --samples",
    },
    "evaluate": {
        "Tests": "--task --format --test-digits --suites --grid --samples --seed --sharpen --loops --device",
        "What is shown and kept": "--failures --anatomy --predictions --partial --out --json",
        "Models that reply to text": "--hf --endpoint --model --key-env --concurrency --timeout --completions "
        "--insecure --prompts --openai --replies --shots --ask --chat --max-tokens --at-once --label "
        "--trained-digits",
    },
}
if hasattr(click, "rich_click"):
    # The program's name comes first, which is another one in `python -m arith`.
    click.rich_click.OPTION_GROUPS |= {
        f"*{command}": [{"name": name, "options": options.split()} for name, options in panels.items()]
        for command, panels in PANELS.items()
    }
