"""docs/gallery.md: everything in the catalogue, with samples and pictures."""

import inspect
from collections.abc import Callable

from arith.catalogue.build import encoding
from arith.catalogue.entries import ALIASES, DECORATIONS, ENCODINGS, SCHEMES, TASKS, WORKINGS
from arith.catalogue.examples import SHOWN, TRAINED, encoding_settings, scheme_settings
from arith.catalogue.named import format_named, task_named
from arith.gallery.effects import SAMPLES as DRAWN
from arith.gallery.effects import addition, demonstrate, demonstrate_scheme
from arith.gallery.pictures import caption
from arith.tasks import formats, vocabulary
from arith.tasks.base import Task
from arith.tasks.formats import Format
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.suites import SUITES, Suite

SAMPLES = 3  # problems of each task and format
OF_PADDED = {"blanks": "padded-all-reversed+blanks:canvas=9"}  # what needs another base, or settings, to be seen
SETTINGS = ("addition:operands=3", "reverse:distinct=true")  # shown beside the plain tasks
READING = (
    f"Lines at {TRAINED} of {SHOWN} tokens, and grey, mark a trained length. Keys ahead of the query are left empty. "
    "The colours of a map stand at the axis beside it."
)


def render_page() -> str:
    """The page as Markdown. A test compares it with the committed file, so it must not depend on the machine."""
    lines = [
        "# Gallery",
        "",
        "Written by `arith show gallery`; a test holds it current. `^` begins and `$` ends a sequence.",
        "",
    ]
    lines += ["## Tasks and formats", "", f"{SAMPLES} problems each, operands of 1-4 digits, `--seed 0`.", ""]
    for name in (*TASKS.names(), *SETTINGS):
        lines += [f"### {name}", "", "| format | samples |", "|---|---|"]
        task = task_named(name)
        names = [part for known in (DECORATIONS, WORKINGS) for part in known.names()]
        parts = [OF_PADDED.get(part, f"plain+{part}") for part in names]
        lines += [f"| `{form}` | {_join(_write_samples(task, form))} |" for form in (*formats.NAMED, *parts)]
        lines.append("")
    lines += ["## Test suites", "", "Additions at 5 digits, plain.", "", "| suite | samples |", "|---|---|"]
    lines += [f"| `{suite}` | {_join(_write_suite(suite))} |" for suite in SUITES]
    lines += ["", "## Position schemes", "", "Ids of one addition, the answer reversed.", ""]
    lines += [*_tabulate_ids(), ""]
    for name in SCHEMES.names():
        lines += scheme_card(name)
    lines += ["## Encodings", ""]
    lines += [f"Pictures by `arith show gallery --pictures docs/pictures`, of untrained encodings. {READING}", ""]
    for name in (*ENCODINGS.names(), *ALIASES):
        lines += encoding_card(name)
    return "\n".join(lines)


def encoding_card(name: str, pictured: bool = True) -> list[str]:
    """Lines about an encoding or alias: what it is, its picture if wanted, settings, formula and source.

    Raises:
        UsageError: nothing has this name.
    """
    if name in ALIASES:
        meaning, line = ALIASES[name]
        about, formula = f"Stands for `{meaning}`.", []
    else:
        ENCODINGS.check(name)
        line, about = ENCODINGS.line(name), _list_settings(encoding_settings(name))
        formula = _quote_module(ENCODINGS.load(name))
    picture = []
    if pictured:
        shown = demonstrate(name)
        drawn = "" if shown.spec == name else f" Drawn: `{shown.spec}`."
        image = f'<img src="pictures/{name}.svg" width="440" alt="{name} over positions">'
        picture = [image, "", caption(shown) + drawn, ""]
    return [f"### {name}", "", f"{_sentence(line)} {about}", "", *picture, *formula]


def scheme_card(name: str, pictured: bool = True) -> list[str]:
    """Lines about a position scheme: what it is, a picture of its ids if wanted, settings, formula and source.

    Raises:
        UsageError: nothing has this name.
    """
    SCHEMES.check(name)
    picture = []
    if pictured:
        image = f'<img src="pictures/scheme-{name}.svg" width="440" alt="ids of {name} over tokens">'
        shown = f"Ids of the tokens of an addition in {DRAWN} samples, in training and in tests."
        picture = [image, "", f"{shown} Drawn: `@{demonstrate_scheme(name).spec}`.", ""]
    about, formula = _list_settings(scheme_settings(name)), _quote_module(SCHEMES.load(name))
    return [f"### @{name}", "", f"{_sentence(SCHEMES.line(name))} {about}", "", *picture, *formula]


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}."


def _quote_module(make: Callable[..., object]) -> list[str]:
    """The docstring of the file that defines it, which holds formula and source; nothing if there is none."""
    module = inspect.getmodule(make)
    text = inspect.cleandoc(module.__doc__ or "") if module else ""
    return ["```text", text, "```", ""] if text else []


def _write_samples(task: Task, name: str) -> list[str]:
    """A few problems of a task in a format, or the reason why they do not go together."""
    form = format_named(name)
    try:
        form.check(task)
    except ValueError as error:
        return [str(error)]
    return _write_problems(Source(task, Uniform(1, 4), seed=0, split="train"), form)


def _write_suite(suite: str) -> list[str]:
    source = Source(task_named("addition"), Suite(suite, 5), seed=0, split="test")  # type: ignore[arg-type]
    return _write_problems(source, formats.NAMED["plain"])


def _write_problems(source: Source, form: Format) -> list[str]:
    return [f"`{vocabulary.decode(tokens)}`" for tokens in Mixture([source]).write(form, 0, SAMPLES).tokens]


def _join(samples: list[str]) -> str:
    return "<br>".join(samples)  # a cell of a Markdown table is one line


def _tabulate_ids() -> list[str]:
    """A table of the ids that each scheme gives to one addition, a column for each token."""
    batch = addition()
    symbols = [vocabulary.SYMBOLS[token] for token in batch.tokens[0].tolist()]
    lines = ["| scheme | " + " | ".join(symbols) + " |", "|---" * (len(symbols) + 1) + "|"]
    for name in SCHEMES.names():
        # Sinusoidal goes with every scheme: it needs neither a table of ids nor distances between them.
        built = encoding(f"sinusoidal@{name}", width=8, heads=1, layers=1, digits=9)
        built.check(batch.prompt.reading)
        (ids,) = built.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
        lines.append(f"| `@{name}` | " + " | ".join(map(str, ids[0, 0].tolist())) + " |")
    return lines


def _list_settings(defaults: dict[str, object]) -> str:
    """A sentence or two on the settings that a name takes, those without a default first."""
    needed = [f"`{key}`" for key, default in defaults.items() if default is inspect.Parameter.empty]
    others = [
        f"`{key}`" if default is None else f"`{key}={_write_default(default)}`"
        for key, default in defaults.items()
        if default is not inspect.Parameter.empty
    ]
    sentences = [f"Needs {', '.join(needed)}."] if needed else []
    sentences += [f"Settings: {', '.join(others)}."] if others else []
    return " ".join(sentences or ["No settings."])


def _write_default(default: object) -> str:
    """A default as it is written in a spec: `true`, not `True`; `1e+06`, not `1000000.0`."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
