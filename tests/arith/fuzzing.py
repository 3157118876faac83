"""What the fuzz test throws at the commands, the folder it throws it in, and what must hold after each throw.

Long for its lists: one of everything that a user can get wrong.
"""

import dataclasses
import json
import os
import re
import shutil
import typing
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from arith.catalogue.entries import ALIASES, DECORATIONS, ENCODINGS, SCHEMES, TASKS, WORKINGS
from arith.cli import cli
from arith.config.schema import RunConfig
from arith.experiment import shipped
from arith.tasks import formats

TINY = ("--steps", "2", "--batch", "4", "--digits", "1-2", "--test-digits", "2", "--samples", "5", "--model", "nano")
fixed = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def build_world(folder: Path) -> Path:
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert call("train", "addition", *TINY, "--out", "run").exit_code == 0
        assert call("evaluate", "run", "--anatomy", "--grid", "1-2", "--predictions", "said.jsonl").exit_code == 0
        assert call("evaluate", "--prompts", "asked.jsonl", "--test-digits", "1", "--samples", "2").exit_code == 0
    finally:
        os.chdir(before)
    shutil.copytree(shipped.FOLDER / "addition", folder / "exported")
    (folder / "empty").mkdir()
    (folder / "file.txt").write_text("text", encoding="utf-8")
    (folder / "one.toml").write_text('encoding = "rope"\ntraining.steps = 2\n', encoding="utf-8")
    (folder / "grid.toml").write_text('training.steps = 2\n[grid]\nencoding = ["rope"]\n', encoding="utf-8")
    return folder


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def listing(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def check(ended: Result, folder: Path, before: dict[Path, bytes | None]) -> None:
    """Assert what holds of every command, whatever it was given."""
    assert ended.exit_code in (0, 1, 2, 130), ended.stderr
    if ended.exit_code in (1, 2):
        assert re.search(r"^(\[rank \d+\] )?Error\b|^╭─ Error ─", ended.stderr, re.MULTILINE), ended.stderr
    assert "Traceback" not in ended.stderr
    assert not re.search(r"Warning:", ended.stderr), ended.stderr
    after = listing(folder)
    assert not [path for path in after if ".building-" in path.name or path.name.endswith("-before")]
    changed = {path: content for path, content in after.items() if before.get(path, b"?") != content}
    if ended.exit_code == 2:
        assert not changed, "what is refused leaves nothing behind"
    assert not before.keys() - after.keys()
    for path, content in changed.items():
        if content is not None:
            assert is_whole(path, content), path


def is_whole(path: Path, content: bytes) -> bool:
    ends = {".png": b"IEND\xaeB`\x82", ".pdf": b"%%EOF\n", ".svg": b"</svg>\n"}
    if path.suffix in (".json", ".jsonl") and content.startswith(b"{"):
        try:
            json.loads(content)
        except ValueError:  # one a line: --prompts x.json holds lines too
            [json.loads(line) for line in content.splitlines()]
        return True
    return content.endswith(ends.get(path.suffix, b""))


def refresh(world: Path, place: Path) -> dict[Path, bytes | None]:
    os.chdir(place.parent)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(world, place)
    os.chdir(place)
    return listing(place)


def try_out(world: Path, place: Path, *arguments: str) -> None:
    before = refresh(world, place)
    check(call(*arguments), place, before)


def fields(cls: type, prefix: str = "") -> Iterator[str]:
    for name, kind in typing.get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            yield f"{prefix}{name}"
            yield from fields(typing.cast(type, kind), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


letters = st.text(st.characters(exclude_characters="\n"), max_size=6)
WORDS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "2",
        "3",
        "7",
        "64",
        "0.5",
        "-0.0",
        "1e400",
        "1e18",
        "9" * 30,
        "9" * 400,
        "1" * 5000,
        "9" * 18,
        "1000000",
        "65536",
        "nan",
        "inf",
    ),
    *("-inf", "true", "false", "none", "null", "[]", "[1]", "[1,2]", "[1,2,3]", "[[1]]", "['a']", "[true]", "{}"),
    *(
        "{a=1}",
        "''",
        '""',
        "'a'",
        "1-4",
        "1-9999999999",
        "1-99999x1-99999",
        "4-1",
        "1-2,5",
        "2x1-3",
        "0-0",
        "1-",
        "-",
        "x",
        ",",
        ":",
        "+",
        "@",
        "()",
    ),
    *("2026-01-01", "12:00:00", "0x10", "1_000", "auto", "adamw", "running-sum", "carry-save", "cpu", "cuda", "plain"),
    *("random,chain", "50% addition 1-5", "hf:", "hf:empty", "hf:run", "rope", "t5+abacus", "multiplication", "grid"),
    *("x" * 300, "ü", "٣", "\x00", "\ud800", "\u2028", "\U0001f600", "preset", "nano", "state", "embeddings", "line"),
)
words = st.sampled_from(WORDS) | letters
setting = st.sampled_from([*fields(RunConfig), "model.preset", "", ".", "model..width", "data.", "x", "model.layers.x"])
assignments = st.lists(st.tuples(setting, words).map("=".join), min_size=1, max_size=3)
NAMED = (
    *(*ENCODINGS.names(), *ALIASES, *SCHEMES.names(), *TASKS.names(), *formats.NAMED, *DECORATIONS.names()),
    *WORKINGS.names(),
)
KEYS = (
    *("buckets", "left", "right", "radius", "origin", "base", "width", "operands", "distinct", "share", "size", "pad"),
    *("levels", "period", "highest", "factor", "digits", "high", "low", "max", "slope", "dims", "length", "seed"),
)
values = st.sampled_from(("0", "1", "2", "-1", "1e400", "nan", "1e9", "9" * 20, "0.5", "true", "x", "", "cyclic", "64"))
settings_of = st.lists(st.tuples(st.sampled_from(KEYS), values).map("=".join), max_size=2).map(
    lambda listed: ":" + ",".join(listed) if listed else ""
)
named = st.tuples(st.sampled_from(NAMED), settings_of).map("".join)
specs = st.recursive(
    named | letters,
    lambda inner: st.tuples(inner, st.sampled_from("+@"), inner).map("".join) | inner.map("({})".format),
    max_leaves=4,
)
LANGUAGE = (
    ("train", "addition", *TINY, "--dry-run", "--encoding", "{}"),
    ("train", "addition", *TINY, "--dry-run", "--format", "{}"),
    ("train", "{}", *TINY, "--dry-run"),
    ("show", "batch", "addition", "--encoding", "{}"),
    ("show", "batch", "addition", "--format", "{}"),
    ("show", "batch", "{}"),
    ("show", "encoding", "{}"),
    ("show", "scheme", "{}"),
    ("eject", "{}"),
    ("generate", "{}", "--samples", "3", "--digits", "1-2"),
    ("generate", "addition", "--samples", "3", "--digits", "1-2", "--format", "{}"),
    ("generate", "addition", "--samples", "3", "--digits", "1-2", "--mix", "50% {}"),
    ("generate", "addition", "--samples", "3", "--digits", "2", "--suite", "{}"),
    ("evaluate", "run", "--task", "{}", "--dry-run"),
    ("evaluate", "run", "--format", "{}", "--dry-run"),
    ("ask", "run", "{}"),
    ("show", "attention", "run", "{}"),
)
TOML = (
    *("3", "-1", "0.5", "true", '"x"', '""', "[]", "[3]", '["x"]', "[[1]]", "[{}]", "[{a = 1}]", "{}", "{a = 1}"),
    *("{a = {b = 1}}", "{rope = {}}", "2026-01-01", "nan", '"\\u0000"', '"x.py"', '["rope"]', '"1-4"', '"rope"'),
    *('["\\u0000"]', '{encoding = ["rope"]}', "{seeds = [true]}", '{encoding = ["rope"], seeds = 3}'),
)
TOP = (
    *("recipe", "grid", "search", "scales", "imports", "claims", "contests", "curves", "live", "seeds", "title"),
    *("published", "by_format", "equal", "minutes", "task", "format", "encoding", "data", "model", "training"),
    *("evaluation", "trace", "auxiliary", "for", "x", '""', '"a.b"'),
)
pairs = st.tuples(st.sampled_from(TOP), st.sampled_from(TOML))
lines = st.dictionaries(st.sampled_from(TOP), st.sampled_from(TOML), max_size=3).map(
    lambda table: "".join(f"{key} = {value}\n" for key, value in table.items())
)
text = st.tuples(lines, st.sampled_from(("", "[[grid]]\n", "[grid]\nencoding = ['rope']\n", "[scales.a]\n", "x"))).map(
    "".join
)
contents = (
    text.map(lambda text: text.encode())
    | text.map(lambda text: b"\xef\xbb\xbf" + text.encode())
    | text.map(lambda text: text.encode("utf-16"))
    | st.binary(max_size=20)
)
READERS = (
    ("train", "--recipe", "{}.toml", "--dry-run"),
    ("train", "--recipe", "{}.toml:a", "--dry-run"),
    ("train", "--recipe", "{}.json", "--dry-run"),
    ("reproduce", "{}.toml", "--dry-run"),
    ("reproduce", "{}.toml", "--dry-run", "--publish", "--scale", "a"),
    ("sweep", "{}.toml", "--dry-run"),
    ("sweep", "{}.toml", "--dry-run", "--ablate", "model.layers=2"),
    ("train", "addition", "--dry-run", "--import", "{}.toml"),
    ("rescore", "{}.toml"),
    ("compare", "{}.toml", "said.jsonl"),
    ("plot", "{}.toml"),
    ("evaluate", "--replies", "{}.toml"),
)
NAMES = (
    *("", ".", "..", "-", "--", "~", "run", "run/", "run/results.json", "run/run.json", "run/x", "file.txt"),
    *("file.txt/x", "empty", "empty/", "empty/x", "missing/x", "missing/x/y", "one.toml", "grid.toml", "said.jsonl"),
    *("asked.jsonl", "x", "x.txt", "x.jsonl", "x.parquet", "x.json", "x.toml", "x.py", "a b", "x:y", "x\ny", "-x"),
    *("x" * 120, "x" * 250, "x" * 256, "x" * 5000, "ü" * 130, "\u6f22\u5b57", "\ud800", "\udcff", "x\x00y", "hf:run"),
    *("hf:x\x00", "/proc/nothing", "run/checkpoints", "run/metrics.jsonl", "extrapolation:x", "./run"),
)
names = st.sampled_from(NAMES) | letters
PATHS = (
    ("train", "addition", *TINY, "--dry-run", "--out", "{}"),
    ("train", "--dry-run", "--resume", "--out", "{}"),
    ("train", "--recipe", "{}", "--dry-run"),
    ("train", "addition", *TINY, "--dry-run", "--init", "{}"),
    ("train", "addition", *TINY, "--dry-run", "--import", "{}"),
    ("evaluate", "{}", "--dry-run"),
    ("evaluate", "run", "--test-digits", "1", "--samples", "3", "--out", "{}"),
    ("evaluate", "run", "--test-digits", "1", "--samples", "3", "--predictions", "{}"),
    ("evaluate", "run", "--test-digits", "1", "--samples", "3", "--predictions", "{}", "--out", "{1}"),
    ("evaluate", "--prompts", "{}", "--test-digits", "1", "--samples", "3"),
    ("evaluate", "--replies", "{}"),
    ("evaluate", "--replies", "asked.jsonl", "--out", "{}"),
    ("plot", "{}", "--terminal"),
    ("plot", "{}", "run", "--terminal", "--kind", "grid"),
    ("plot", "run", "--out", "{}"),
    ("plot", "run", "--out", "{}", "--kind", "anatomy"),
    ("plot", "{}", "--kind", "training"),
    ("compare", "run", "{}"),
    ("compare", "said.jsonl", "{}"),
    ("probe", "{}", "--samples", "3"),
    ("export", "{}", "--to", "empty"),
    ("export", "run", "--to", "{}"),
    ("eject", "nope", "--out", "{}"),
    ("generate", "addition", "--samples", "3", "--out", "{}"),
    ("generate", "addition", "--samples", "3", "--import", "{}"),
    ("show", "encoding", "nope", "--out", "{}"),
    ("show", "attention", "{}", "1+2"),
    ("show", "attention", "run", "1+2", "--out", "{}"),
    ("show", "batch", "--recipe", "{}"),
    ("ask", "{}", "1+2"),
    ("ask", "{}"),
    ("rescore", "{}"),
    ("sweep", "{}", "--dry-run"),
    ("sweep", "{}", "--dry-run", "--ablate", "model.layers=2"),
    ("sweep", "grid.toml", "--dry-run", "--out", "{}"),
    ("reproduce", "{}", "--dry-run"),
    ("reproduce", "one.toml", "--dry-run", "--out", "{}"),
    ("list", "runs", "{}"),
)
identifier = st.tuples(
    st.sampled_from(("addition", "multiplication", "x", "")),
    st.sampled_from(("plain", "reversed", "padded:width=3", "")),
    st.sampled_from(("2311", "0", "-1", "1" * 30, "x")),
    st.sampled_from(("0", "1", "-1", "1" * 30)),
    st.sampled_from(("random", "grid", "chain", "x")),
    st.sampled_from(("1", "2", "0", "-1", "1x2", "1x2x3", "x", "9" * 9)),
    st.sampled_from(("1", "2", "0", "-1", "9" * 30)),
    st.sampled_from(("0", "1", "-1", "x")),
).map("/".join)
replies = st.sampled_from(("12", "", "1e9999", "9" * 5000, "-" * 99, "\ud800", "\\boxed{" * 99, "=", "٣", "\u22121"))
rows = st.lists(
    st.fixed_dictionaries({"id": identifier | st.integers(), "reply": replies | letters | st.none()}), max_size=2
)
DAMAGED = {
    "run/run.json": (
        ("train", "--resume", "--out", "run", "--dry-run"),
        ("evaluate", "run", "--dry-run"),
        ("train", "--recipe", "run/run.json", "--dry-run"),
        ("list", "runs", "."),
        ("ask", "run", "1+2"),
    ),
    "run/results.json": (
        ("plot", "run", "--terminal"),
        ("train", "--resume", "--out", "run", "--dry-run"),
        ("list", "runs", "."),
        ("plot", "run"),
    ),
    "run/evaluation.json": (
        ("plot", "run", "--kind", "anatomy"),
        ("plot", "run", "--kind", "grid", "--terminal"),
        ("evaluate", "run", "--grid", "1-2", "--samples", "5"),
    ),
    "run/metrics.jsonl": (("plot", "run", "--kind", "training"), ("list", "runs", "."), ("evaluate", "run")),
    "run/checkpoints/step-00000002/state.json": (("ask", "run", "1+2"), ("evaluate", "run")),
    "run/checkpoints/step-00000002/MANIFEST.json": (("ask", "run", "1+2"), ("evaluate", "run")),
    "run/checkpoints/step-00000002/model.safetensors": (("ask", "run", "1+2"), ("probe", "run", "--samples", "3")),
    "said.jsonl": (
        ("rescore", "said.jsonl", "--failures", "2"),
        ("compare", "said.jsonl", "other.jsonl"),
        ("evaluate", "run", "--anatomy", "--predictions", "said.jsonl"),
    ),
    "asked.jsonl": (("evaluate", "--replies", "asked.jsonl"),),
    "one.toml": (("train", "--recipe", "one.toml", "--dry-run"),),
    "exported/config.json": (
        ("ask", "exported", "1+2"),
        ("evaluate", "exported", "--dry-run"),
        ("evaluate", "--hf", "exported", "--dry-run"),
    ),
    "exported/model.safetensors": (("ask", "exported", "1+2"),),
    "exported/results.json": (("plot", "exported", "--terminal"), ("evaluate", "exported", "--dry-run")),
}


WRONG: tuple[object, ...] = (
    None,
    -1,
    0,
    3,
    10**30,
    10**400,
    0.5,
    float("nan"),
    True,
    "",
    "x",
    [],
    [1],
    {},
    {"a": 1},
    "1" * 300,
    [[]],
)


def places(values: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The way to each value in nested tables and lists."""
    yield path
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def replace_at(values: typing.Any, path: tuple[typing.Any, ...], wrong: object) -> typing.Any:
    if not path:
        return wrong
    copy = dict(values) if isinstance(values, dict) else list(values)
    if wrong is ... and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = replace_at(copy[path[0]], path[1:], wrong)
    return copy


WRITERS = (
    ("evaluate", "run", "--test-digits", "1", "--samples", "30", "--anatomy", "--out", "{}/out.json"),
    ("evaluate", "run", "--test-digits", "1", "--samples", "30", "--predictions", "{}/out.jsonl"),
    ("evaluate", "--prompts", "{}/out.jsonl", "--test-digits", "1,2", "--samples", "30"),
    ("plot", "run", "--out", "{}/out"),
    ("plot", "run", "--kind", "grid", "--out", "{}/out"),
    ("plot", "run", "--kind", "training", "--out", "{}/out"),
    ("eject", "rope", "--out", "{}/out.py"),
    ("generate", "addition", "--samples", "900", "--out", "{}/out.jsonl"),
    ("generate", "addition", "--samples", "900", "--out", "{}/out.txt"),
    ("generate", "addition", "--samples", "900", "--out", "{}/out.parquet"),
    ("show", "encoding", "nope", "--out", "{}/out"),
    ("show", "attention", "run", "1+2", "--out", "{}/out"),
    ("show", "gallery", "--pictures", "{}/out"),
    ("export", "run", "--to", "{}/out"),
    ("train", "addition", *TINY, "--out", "{}/out"),
    ("reproduce", "one.toml", "--out", "{}/out"),
    ("sweep", "grid.toml", "--out", "{}/out"),
)
