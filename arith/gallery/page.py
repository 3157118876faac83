"""docs/gallery.md: what there is, with samples, written from the catalogue."""

import inspect
from collections.abc import Callable

from arith.catalogue.build import encoding
from arith.catalogue.entries import ALIASES, DECORATIONS, ENCODINGS, SCHEMES, TASKS, WORKINGS
from arith.catalogue.examples import SHOWN, TRAINED, scheme_settings, settings
from arith.catalogue.named import format_named, task_named
from arith.gallery.effects import SAMPLES as DRAWN
from arith.gallery.effects import addition, probe, probe_scheme
from arith.gallery.pictures import caption
from arith.tasks import formats, vocabulary
from arith.tasks.base import Task
from arith.tasks.formats import Format
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.suites import SUITES, Suite

SAMPLES = 3
SETTINGS = ("addition:operands=3", "reverse:distinct=true")  # shown beside the plain tasks
READING = (
    f"Lines at {TRAINED} of {SHOWN} tokens, and grey, mark a trained length. Keys ahead of the query are left empty. "
    "The colours of a map stand at the axis beside it."
)


def gallery() -> str:
    """The page."""
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
        parts = [f"plain+{part}" for known in (DECORATIONS, WORKINGS) for part in known.names()]
        lines += [f"| `{form}` | {_cells(_written(task, format_named(form)))} |" for form in (*formats.NAMED, *parts)]
        lines.append("")
    lines += ["## Test suites", "", "Additions at 5 digits, plain.", "", "| suite | samples |", "|---|---|"]
    lines += [f"| `{suite}` | {_cells(_tested(suite))} |" for suite in SUITES]
    lines += ["", "## Position schemes", "", "Ids of one addition, the answer reversed.", ""]
    lines += [*_schemes(), ""]
    for name in SCHEMES.names():
        lines += scheme_card(name)
    lines += ["## Encodings", ""]
    lines += [f"Pictures by `arith show gallery --pictures docs/pictures`, of untrained encodings. {READING}", ""]
    for name in (*ENCODINGS.names(), *ALIASES):
        lines += encoding_card(name)
    return "\n".join(lines)


def encoding_card(name: str, pictured: bool = True) -> list[str]:
    """An encoding or alias: what it is, its picture if wanted, settings, formula and source."""
    if name in ALIASES:
        meaning, line = ALIASES[name]
        about, formula = f"Stands for `{meaning}`.", []
    else:
        ENCODINGS.check(name)
        line, about, formula = ENCODINGS.line(name), _settings(settings(name)), _formula(ENCODINGS.load(name))
    picture = []
    if pictured:
        seen = probe(name)
        drawn = "" if seen.spec == name else f" Drawn: `{seen.spec}`."
        image = f'<img src="pictures/{name}.svg" width="440" alt="{name} over positions">'
        picture = [image, "", caption(seen) + drawn, ""]
    return [f"### {name}", "", f"{_sentence(line)} {about}", "", *picture, *formula]


def scheme_card(name: str, pictured: bool = True) -> list[str]:
    """A position scheme: what it is, a picture of its ids if wanted, settings, formula and source."""
    SCHEMES.check(name)
    picture = []
    if pictured:
        image = f'<img src="pictures/scheme-{name}.svg" width="440" alt="ids of {name} over tokens">'
        shown = f"Ids of the tokens of an addition in {DRAWN} samples, in training and in tests."
        picture = [image, "", f"{shown} Drawn: `@{probe_scheme(name).spec}`.", ""]
    about, formula = _settings(scheme_settings(name)), _formula(SCHEMES.load(name))
    return [f"### @{name}", "", f"{_sentence(SCHEMES.line(name))} {about}", "", *picture, *formula]


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}."


def _formula(make: Callable[..., object]) -> list[str]:
    """What the file that defines it says: formula and source."""
    module = inspect.getmodule(make)
    said = inspect.cleandoc(module.__doc__ or "") if module else ""
    return ["```text", said, "```", ""] if said else []


def _written(task: Task, form: Format) -> list[str]:
    try:
        form.check(task)
    except ValueError as error:
        return [str(error)]
    return _samples(Source(task, Uniform(1, 4), seed=0, split="train"), form)


def _tested(suite: str) -> list[str]:
    source = Source(task_named("addition"), Suite(suite, 5), seed=0, split="test")  # type: ignore[arg-type]
    return _samples(source, formats.NAMED["plain"])


def _samples(source: Source, form: Format) -> list[str]:
    return [f"`{vocabulary.decode(tokens)}`" for tokens in Mixture([source]).written(form, 0, SAMPLES).tokens]


def _cells(samples: list[str]) -> str:
    return "<br>".join(samples)


def _schemes() -> list[str]:
    batch = addition()
    symbols = [vocabulary.SYMBOLS[token] for token in batch.tokens[0].tolist()]
    lines = ["| scheme | " + " | ".join(symbols) + " |", "|---" * (len(symbols) + 1) + "|"]
    for name in SCHEMES.names():
        built = encoding(f"sinusoidal@{name}", width=8, heads=1, layers=1, digits=9)
        built.check(batch.prompt.reading)
        (ids,) = built.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
        lines.append(f"| `@{name}` | " + " | ".join(map(str, ids[0, 0].tolist())) + " |")
    return lines


def _settings(known: dict[str, object]) -> str:
    """What may follow the name."""
    needed = [f"`{key}`" for key, default in known.items() if default is inspect.Parameter.empty]
    others = [
        f"`{key}`" if default is None else f"`{key}={_written_out(default)}`"
        for key, default in known.items()
        if default is not inspect.Parameter.empty
    ]
    said = [f"Needs {', '.join(needed)}."] if needed else []
    said += [f"Settings: {', '.join(others)}."] if others else []
    return " ".join(said or ["No settings."])


def _written_out(default: object) -> str:
    """A default as it is written in a spec."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
