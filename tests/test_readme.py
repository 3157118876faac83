"""What the README says works, and what the pages of docs/ say that it sends a reader to."""

import inspect
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import arith
from arith.catalogue.entries import ALIASES, ENCODINGS, SCHEMES
from arith.catalogue.examples import example
from arith.cli import cli
from arith.encodings.base import SHARED, Encoding, LayerEncoding, Positions
from arith.results.curves import curves
from arith.results.schema import GRID, Results
from arith.results.tables import accuracy_table
from arith.results.uncertainty import percent
from tests.test_rooms import ROOMS

ROOT = Path(__file__).parent.parent
# Results of a recipe that has scales, for the one that the page names.
OF_SCALES = {"expressions": "expressions-sums", "dialogue --scale five": "dialogue-five"}
# In the order in which their commands run: those of later pages look at runs that earlier ones train.
PAGES = ("docs/formats.md", "docs/encodings.md", "docs/findings.md", "docs/using.md", "README.md")
TEXTS = {page: (ROOT / page).read_text() for page in PAGES}
# Without those that tests register.
BUILT_IN = [name for name in ENCODINGS.names() if not name.startswith(("test-", "doctest", "tilt"))]
README, ENCODINGS_PAGE = TEXTS["README.md"], TEXTS["docs/encodings.md"]
PYTHON = [block for page in PAGES for block in re.findall(r"```python\n(.*?)```", TEXTS[page], re.S)]
SHELL = [
    line.partition(" #")[0].strip()
    for page in PAGES
    for block in re.findall(r"```sh\n(.*?)```", TEXTS[page], re.S)
    for line in block.splitlines()
    if line.startswith(".venv/bin/arith")
]


def test_first_lines_are_the_two_commands() -> None:
    assert README.index("make demo") < README.index("make test") < 400


def test_the_readme_is_two_screens() -> None:
    assert len(README) <= 12_000
    assert len(README.splitlines()) <= 130


def test_numbers_are_those_of_the_committed_results(root: Path) -> None:
    page = TEXTS["docs/findings.md"]
    cells = Results.load(root / "results" / "extrapolation.json").cells
    assert accuracy_table(curves(cells, "random")) in page
    window = [cell for cell in cells if cell.label == "coupled-window"]
    assert all(cell.correct == cell.n for cell in window)
    seconds = sorted(cell.training_seconds for cell in window)
    words = " ".join(page.split())
    assert f"({window[0].parameters:,} parameters, one layer, {seconds[0]:.0f}-{seconds[-1]:.0f} s of training" in words
    assert f"no error in {sum(cell.n for cell in window):,} test problems" in words
    for n in (1000, 400):
        lowest = min(cell.low for cell in window if cell.n == n)
        assert f"{percent(lowest)}% (n = {n:,}" in words


@pytest.mark.parametrize(
    ("recipe", "label", "digits"),
    [
        ("thousand-digits", "coupled-window", 1000),
        ("million-digits", "coupled-window", 10_000),
        ("fixed-width", "fixed-width", 12),
        ("multiplication-looped", "multiplication-looped", 50),
        ("thin-products", "thin-products", 1000),
        ("multiplication-two-digits", "multiplication-two-digits", 60),
        ("multiplication-answers", "summed", 3),
        ("multiplication-five-digits", "summed", 5),
        ("multiplication-fifteen", "lookup", 15),
        ("dialogue --scale five", "places-mixed", 10),
        ("expressions", "looped", 10),
        ("lego", "tied-association-drawn", 12),
    ],
)
def test_what_models_reach_is_what_results_say(root: Path, recipe: str, label: str, digits: int) -> None:
    (row,) = [line for line in README.splitlines() if line.endswith(f"| `{recipe}` |")]
    cells = [
        cell
        for cell in Results.load(root / "results" / f"{OF_SCALES.get(recipe, recipe)}.json").cells
        if (cell.label, cell.digits) == (label, digits) and cell.suite != GRID
    ]
    by_seed = {
        seed: min(cell.accuracy for cell in cells if cell.model_seed == seed)
        for seed in {cell.model_seed for cell in cells}
    }
    assert len(by_seed) == 5
    assert f"| {percent(statistics.median(by_seed.values()))} ({percent(min(by_seed.values()))}) |" in row
    assert f"| {cells[0].parameters:,} |" in row
    low, high = cells[0].train_lengths
    assert any(trained in row for trained in (f"{low}-{high} digits", f"| {high} steps |", f"| depth {low}-{high} |"))


@pytest.mark.parametrize("place", range(4))
def test_python_runs(tmp_path: Path, place: int) -> None:
    library = [block for block in PYTHON if "attention(" in block or "Composed(" in block][place]
    ran = subprocess.run([sys.executable, "-c", library], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_page_says_where_each_encoding_acts_and_which_need_a_memory() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`, [^|]*\|(.*)\|$", TEXTS["docs/using.md"], re.M))
    said = {hook: set(re.findall(r"`([\w:=-]+)`", row)) for hook, row in rows.items()}
    remembering = set()
    for name in [*BUILT_IN, "random-embedding:at=hidden", "random-embedding:at=heads"]:
        encoding = arith.encoding(example(name) if name in BUILT_IN else name, width=64, heads=4, layers=1, tokens=96)
        part = encoding.parts[0]
        assert isinstance(part, Encoding)
        layer, memory = part.at(0), {}
        acts = {hook for hook in said if hook != "memory" and own(part if hook == "embed" else layer, hook)}
        acts -= {"embed"} if ":at=" in name else set()  # one class for all three places
        assert acts == {hook for hook in said if hook != "memory" and name in said[hook]}, name
        ids, q = torch.arange(1, 7)[None, None], torch.zeros(1, 4, 6, 16)
        layer.terms(torch.zeros(1, 6, 64), q, q, Positions(ids, ids), memory)
        remembering |= {name for kept in memory if not kept.startswith(SHARED)}
    assert remembering == {"forgetting"}
    assert "| `forgetting`: sums" in TEXTS["docs/using.md"]


def own(module: LayerEncoding, hook: str) -> bool:
    """Whether a class does something in a place where encodings do nothing by default."""
    return getattr(type(module), hook) is not getattr(Encoding, hook)


def test_the_page_names_every_class_with_what_it_must_be_given() -> None:
    page = " ".join(TEXTS["docs/using.md"].split())
    for name in BUILT_IN:
        made = ENCODINGS.load(name)
        named = [one for one in inspect.signature(made).parameters.values() if one.kind is not one.VAR_POSITIONAL]
        needed = [one.name for one in named if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
        file = made.__module__.removeprefix("arith.encodings.")
        assert f"`{file}.{made.__name__}({', '.join(needed)})`" in page


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = next(block for block in PYTHON if "@ENCODINGS.register" in block)
    assert len([line for line in own.splitlines() if line]) <= 16, "fifteen lines, and a docstring for the file"
    (tmp_path / "tilt.py").write_text(own)
    assert len(SHELL) >= 9
    for line in SHELL:
        arguments = shlex.split(line)[1:]
        if "--steps" in arguments:
            arguments[arguments.index("--steps") + 1] = "20"
            arguments += ["--samples", "20", "--test-digits", "1-3"]
        ran = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert ran.exit_code == 0, f"{line}: {ran.output}"


@pytest.mark.parametrize("name", [*ALIASES, *ENCODINGS.names()])
def test_every_encoding_is_in_the_table(name: str) -> None:
    if not name.startswith(("test-", "doctest", "tilt")):
        assert f"| `{name}` |" in ENCODINGS_PAGE
    if name in ALIASES:
        assert ALIASES[name][0] in ENCODINGS_PAGE


@pytest.mark.parametrize("name", SCHEMES.names())
def test_every_scheme_is_in_the_table(name: str) -> None:
    assert f"| `@{name}` |" in ENCODINGS_PAGE or name.startswith(("test-", "doctest"))


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_are_there(root: Path, page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXTS[page]):
        assert (root / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_lines_can_be_read_beside_one_another(page: str) -> None:
    assert not [line for line in TEXTS[page].splitlines() if len(line) > 200 and not line.startswith("|")]


def test_the_map_names_the_rooms_in_their_order() -> None:
    (drawn,) = re.findall(r"```\ntasks/.*?```", README, re.S)
    assert re.findall(r"(\w+)/ ", drawn.partition("puts them to work")[2]) == list(ROOMS)
