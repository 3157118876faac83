"""Random settings, files and names at the commands, which every room takes part in: docs/reliability.md says why.

Whatever is given, a command answers or refuses in words: no traceback, and no half of a file. The examples are the same
each time; inputs that once failed stand as cases of their own beside what they were about.
"""

import json
import os
import resource
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.arith.fuzzing import (
    DAMAGED,
    LANGUAGE,
    PATHS,
    READERS,
    TINY,
    WRITERS,
    WRONG,
    assignments,
    build_world,
    call,
    check,
    contents,
    fixed,
    letters,
    listing,
    names,
    places,
    refresh,
    replace_at,
    replies,
    rows,
    specs,
    try_out,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each thing that a command reads."""
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def place(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "place"


@fixed
@given(chosen=assignments)
def test_any_setting(world: Path, place: Path, chosen: list[str]) -> None:
    options = [option for assignment in chosen for option in ("--set", assignment)]
    try_out(world, place, "train", "addition", *TINY, "--dry-run", *options)


@fixed
@given(command=st.sampled_from(LANGUAGE), spec=specs)
def test_any_text_of_the_little_language(world: Path, place: Path, command: tuple[str, ...], spec: str) -> None:
    try_out(world, place, *(part.replace("{}", spec) for part in command))


@fixed
@given(command=st.sampled_from(READERS), content=contents)
def test_any_file(world: Path, place: Path, command: tuple[str, ...], content: bytes) -> None:
    before = refresh(world, place)
    files = {Path(part.format("given").removesuffix(":a")) for part in command if "{}" in part}
    for file in files:
        file.write_bytes(content)
        before[place / file] = content
    check(call(*(part.format("given") for part in command)), place, before)


@fixed
@given(command=st.sampled_from(PATHS), name=names, other=names)
def test_any_name(world: Path, place: Path, command: tuple[str, ...], name: str, other: str) -> None:
    try_out(world, place, *(part.replace("{}", name).replace("{1}", other) for part in command))


@fixed
@given(rows=rows, reply=replies | letters)
def test_any_reply(world: Path, place: Path, rows: list[dict[str, object]], reply: str) -> None:
    before = refresh(world, place)
    asked = [json.loads(line) for line in (place / "asked.jsonl").read_text(encoding="utf-8").splitlines()]
    given = "".join(json.dumps(row) + "\n" for row in rows or [{**row, "reply": reply} for row in asked])
    (place / "given.jsonl").write_text(given, encoding="utf-8")
    before[place / "given.jsonl"] = given.encode()
    check(call("evaluate", "--replies", "given.jsonl", "--out", "out.json"), place, before)


@fixed
@given(data=st.data())
def test_any_damage(world: Path, place: Path, data: st.DataObject) -> None:
    refresh(world, place)
    name = data.draw(st.sampled_from(tuple(DAMAGED)))
    command = data.draw(st.sampled_from(DAMAGED[name]))
    shutil.copy(place / "said.jsonl", place / "other.jsonl")
    content = (place / name).read_bytes()
    if name.endswith("json") or (name.endswith("jsonl") and data.draw(st.booleans())):
        rows = [content] if name.endswith(".json") else content.splitlines()
        row = data.draw(st.integers(0, len(rows) - 1))
        values = json.loads(rows[row])
        path = data.draw(st.sampled_from(list(places(values))))
        wrong = data.draw(st.sampled_from((..., *WRONG)))
        rows[row] = json.dumps(replace_at(values, path, wrong if path or wrong is not ... else None)).encode()
        content = b"".join(row + b"\n" for row in rows)
    else:
        at = data.draw(st.integers(0, len(content)))
        content = content[:at] + data.draw(st.binary(max_size=3)) + content[at + data.draw(st.integers(0, 9)) :]
    (place / name).write_bytes(content)
    check(call(*command), place, listing(place) | {place / name: content})


@fixed
@given(command=st.sampled_from(WRITERS[:-1]), size=st.integers(0, 5_000))
def test_any_writing_on_a_full_disk(world: Path, place: Path, command: tuple[str, ...], size: int) -> None:
    before, limits = refresh(world, place), resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file that may not grow fails as on a full disk, within what writes it.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        ended = call(*(part.replace("{}", "empty") for part in command))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    check(ended, place, before)
    assert ended.exit_code in (0, 1)


@pytest.mark.parametrize("command", WRITERS, ids=" ".join)
def test_no_writing_into_a_folder_that_is_read_only(world: Path, place: Path, command: tuple[str, ...]) -> None:
    before = refresh(world, place)
    (place / "empty").chmod(0o555)
    try:
        if os.access(place / "empty", os.W_OK):
            pytest.skip("root may write anywhere")
        ended = call(*(part.replace("{}", "empty") for part in command))
    finally:
        (place / "empty").chmod(0o755)
    check(ended, place, before)
    assert ended.exit_code == 1
    assert "Permission denied" in ended.stderr
