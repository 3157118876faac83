"""Settings and commands."""

import pytest

from arith.report.parts.provenance import commands_of, provenance_part, without_paths
from tests.arith.report.pages import NASTY, Reader


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arith train --out runs/a", "arith train --out runs/a"),
        ("arith train --import '/home/me/my own.py'", "arith train --import 'my own.py'"),
        ("/home/me/bin/arith train --out=~/x/y", "arith train --out=y"),
        ("hf:/home/me/gpt2", "hf:gpt2"),
        ("C:\\Users\\me\\a.py", "a.py"),
        ("1/2 and a / b", "1/2 and a / b"),
    ],
)
def test_a_page_names_no_folder_of_this_machine(text: str, expected: str) -> None:
    assert without_paths(text) == expected


def test_settings_are_listed_by_name() -> None:
    record = {
        "command": "arith train",
        "imports": {"/home/me/own.py": "1f"},
        "config": {"task": NASTY, "model": {"layers": 2, "init": None}},
    }
    read = Reader(provenance_part({"run": record}, {}))
    assert {"command", "imports.own.py", "model.layers", "model.init"} <= set(read.texts["th"])
    assert {"arith train", "2", "none"} <= set(read.texts["td"])
    assert read.texts["summary"] == ["All 3 settings"]


def test_commands_are_given_once() -> None:
    about = {"command": "arith reproduce /tmp/x"}
    assert commands_of({"a": {"command": "arith train"}}, {"b": about, "c": about, "d": {}}) == [
        *("arith train", "arith reproduce x")
    ]
