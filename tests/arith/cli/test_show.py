"""Batches, cards and attention, shown."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


def test_show_batch_explains_tokens(arith: Arith) -> None:
    shown = arith(
        "show", "batch", "addition", "--format", "reversed", "--encoding", "abacus+rope", "--rows", "1"
    ).stdout
    lines = [line.split() for line in shown.splitlines()]
    assert lines[0][:2] == ["token", "^"]
    assert [line[0] for line in lines[:5]] == ["token", "token", "abacus", "sequential", "in"]


def test_attention_is_drawn_over_the_digits(arith: Arith, tmp_path: Path) -> None:
    arith("train", *SMALL, "--encoding", "rope", "--out", "run")
    drawn = arith("show", "attention", "run", "12+7", "--out", "maps/one")
    assert drawn.exit_code == 0, drawn.output
    assert {path.suffix for path in (tmp_path / "maps").iterdir()} == {".png", ".pdf", ".svg", ".csv"}
    rows = list(csv.DictReader((tmp_path / "maps" / "one.csv").open()))
    assert "".join(row["key_token"] for row in rows if row["head"] == "1" and row["query"] == "11") == "^12+07=910$"
    first = (tmp_path / "maps" / "one.svg").read_bytes()
    arith("show", "attention", "run", "12+7", "--out", "maps/one")
    assert (tmp_path / "maps" / "one.svg").read_bytes() == first
    for problem, message in (("1*2", "such as 12+34"), ("9" * 50 + "+1", "up to 120 tokens, and this takes 155")):
        refused = arith("show", "attention", "run", problem)
        assert refused.exit_code == 2
        assert message in refused.stderr


def test_passes_of_a_loop_are_drawn_with_what_stands_behind(arith: Arith, tmp_path: Path) -> None:
    in_place = ["--format", "plain", "--encoding", "relative", "--set", "model.attention=full", "--set"]
    trained = arith("train", "lego:clauses=3,asked=each", *SMALL, *in_place, "model.loops=14", "--out", "run")
    assert trained.exit_code == 0, trained.output
    drawn = arith("show", "attention", "run", "101", "--out", "first")
    assert "drawn    the first 12 of 14 passes; --passes chooses others" in drawn.stdout
    assert arith("show", "attention", "run", "101", "--passes", "2,14", "--out", "two").exit_code == 0
    rows = list(csv.DictReader((tmp_path / "two.csv").open()))
    assert {row["loop"] for row in rows} == {"2", "14"}
    assert any(float(row["weight"]) > 0 for row in rows if int(row["key"]) > int(row["query"]))
    assert "loop 14, layer 1, head 1" in (tmp_path / "two.svg").read_text()
    refused = arith("show", "attention", "run", "101", "--passes", "15")
    assert refused.exit_code == 2
    assert "this model has 14 passes, and none with the number 15" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("encoding kerple", "-r1[h] log(1 + r2[h] D)"),
        ("encoding bipe", "Stands for `learned@abacus+rope@segments`"),
        ("scheme coupled", "Cho et al."),
        ("scheme cape", "`tested=random`"),
    ],
)
def test_one_card_is_shown(arith: Callable[..., Result], words: str, said: str) -> None:
    shown = arith("show", *words.split())
    assert shown.exit_code == 0
    assert said in shown.output
    assert "<img" not in shown.output


@pytest.mark.parametrize("words", ["encoding ropee", "scheme copled", "encoding randomized"])
def test_cards_of_what_is_not_there_are_refused(arith: Callable[..., Result], words: str) -> None:
    assert arith("show", *words.split()).exit_code == 2


def test_pictures_go_into_a_folder_and_no_file(arith: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert arith("show", "gallery", "--pictures", str(tmp_path / "file")).exit_code == 2


def test_one_picture_as_files(arith: Callable[..., Result], tmp_path: Path) -> None:
    shown = arith("show", "encoding", "alibi", "--out", "own/alibi")
    assert shown.exit_code == 0, shown.output
    assert {path.suffix for path in (tmp_path / "own").iterdir()} == {".png", ".pdf", ".svg", ".csv"}
    rows = (tmp_path / "own" / "alibi.csv").read_text().splitlines()
    assert rows[1] == "alibi,scores,1,1,1,0"
    assert "figure   own/alibi.png" in shown.stdout


def test_a_terminal_of_another_encoding_shows_a_replacement() -> None:
    command = [sys.executable, "-m", "arith", "show", "batch", "addition", "--format", "reversed+hints", "--rows", "1"]
    shown = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "cp1252"}, capture_output=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(b"token ")
    assert b"?" in shown.stdout


def test_loops_that_a_problem_asks_for_are_drawn(arith: Arith) -> None:
    drawn = arith("show", "attention", "multiplication", "12*34", "--json")
    assert drawn.exit_code == 0, drawn.output
    # Two digits of the second factor, and one more loop for a carry.
    assert json.loads(drawn.stdout)["passes"] == [1, 2, 3]
