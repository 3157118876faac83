"""Hooks of mkdocs: sources to read docstrings from, pages that live outside docs/, figures, and all commands."""

import re
import shutil
from pathlib import Path
from typing import Any

import click
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Files of the repository that are pages of the site too.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "kernels/README.md": "kernels.md",
}


# Before mkdocstrings, which leaves out folders to read from that do not exist yet.
@event_priority(100)
def on_config(config: Any) -> Any:
    """Copy the package beside the site, for a reader of docstrings that finds no package without __init__.py.

    `encodings`, `tasks` and `kernels` have none, and are links in `arith/`: see docs/architecture.md.
    """
    sources = Path(f"{config.site_dir}-sources")
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [str(sources)]
    copy = sources / "arith"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT / "arith", copy, ignore=shutil.ignore_patterns("__pycache__", "shipped"))
    for folder in ("encodings", "tasks", "kernels"):
        (copy / folder / "__init__.py").touch()
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what docs/ does not hold."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=move_links(text, ROOT / source, page)))
    files.append(File.generated(config, "reference/commands.md", content=render_commands()))
    for figure in (ROOT / "results").glob("*.png"):
        files.append(File.generated(config, f"results/{figure.name}", abs_src_path=str(figure)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links that leave docs/ at where their targets are in the site."""
    source = ROOT / "docs" / page.file.src_uri
    return move_links(markdown, source, page.file.src_uri) if source.is_file() else markdown


def move_links(text: str, source: Path, page: str) -> str:
    """The text of a file as a page of the site.

    Args:
        text: Markdown, with links relative to the file.
        source: the file.
        page: where the page is, from the site's root.
    """
    up = "../" * page.count("/")

    def move(found: re.Match[str]) -> str:
        name, target, part = found[1], found[2], found[3] or ""
        place = (source.parent / target).resolve()
        inside = place.relative_to(ROOT).as_posix() if place.is_relative_to(ROOT) else ""
        if inside in PAGES:
            return f"[{name}]({up}{PAGES[inside]}{part})"
        if inside.startswith("docs/"):
            return f"[{name}]({up}{inside.removeprefix('docs/')}{part})"
        if inside.startswith("results/") and place.suffix == ".png":
            return f"[{name}]({up}{inside})"
        return name  # a file that the site does not hold, such as results/addition.json, keeps its name alone

    return re.sub(r"\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)", move, text)


def render_commands() -> str:
    """Every command with its options, from the commands themselves."""
    from arith.cli import cli

    return "# Commands\n\n" + "\n".join(_render(cli, "arith"))


def _render(command: click.Command, name: str) -> list[str]:
    lines: list[str] = []
    if isinstance(command, click.Group):
        if name != "arith":
            lines += [f"## {name}", "", command.help or "", ""]
        return lines + [line for key, own in command.commands.items() for line in _render(own, f"{name} {key}")]
    arguments = [own.make_metavar(click.Context(command)) for own in command.params if isinstance(own, click.Argument)]
    lines += [f"## {name}", "", f"`{' '.join([name, *arguments])}`", "", command.help or "", ""]
    if command.epilog:
        examples = re.sub(r"^Examples?: ", "", command.epilog).split("; ")
        lines += ["```sh", *examples, "```", ""]
    lines += ["| option | what it does | default |", "|---|---|---|"]
    for option in command.params:
        if isinstance(option, click.Option):
            names = ", ".join(f"`{own}`" for own in (*option.opts, *option.secondary_opts))
            # Options without a default have a mark of click's in its place.
            told = isinstance(option.default, str | int | float) and not option.is_flag and option.default != ""
            help_text = (option.help or "").replace("|", "\\|")
            lines.append(f"| {names} | {help_text} | {f'`{option.default}`' if told else ''} |")
    return [*lines, ""]
