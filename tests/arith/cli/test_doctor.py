"""What the machine has, as the command prints it, and what shells complete."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from click.testing import Result

from arith.performance import doctor

Arith = Callable[..., Result]


def test_doctor_says_what_is_here(arith: Arith) -> None:
    done = arith("doctor")
    assert done.exit_code == 0, done.output
    assert torch.__version__ in done.stdout
    rows = json.loads(arith("doctor", "--json").stdout)
    assert {row["group"].partition(" over")[0] for row in rows} == {"versions", "processor", "GPU", "attention"}
    (cores,) = [row["found"] for row in rows if row["name"] == "cores"]
    assert int(cores.split()[0]) >= 1


def test_doctor_names_what_is_missing_and_the_command_that_brings_it(
    arith: Arith, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("einops", "ray"):
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    needs = ["einops", "numpy>=2.0", 'ray; extra == "ray"', 'numpy; extra == "other"']
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    done = arith("doctor")
    assert done.exit_code == 1
    assert "MISSING: pip install 'einops'" in done.stdout
    assert "-> pip install 'arith-toolkit[ray]' brings ray" in done.stdout
    assert "arith needs einops" in done.stderr


def test_doctor_warns_of_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1000)
    (row,) = [row for row in doctor.examine() if row.name == "torch threads"]
    assert row.advice.startswith("more threads than cores")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(arith: Arith, shell: str) -> None:
    assert "_ARITH_COMPLETE" in arith("completion", shell).stdout


def test_commands_and_options_are_completed() -> None:
    for words, word, expected in (("arith doc", 1, "doctor"), ("arith train --learn", 2, "--learning-rate")):
        environment = {"_ARITH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(word)}
        done = subprocess.run(
            [sys.executable, "-m", "arith"], env={**os.environ, **environment}, capture_output=True, text=True
        )
        assert expected in done.stdout, done.stderr


def test_another_shell_is_refused(arith: Arith) -> None:
    done = arith("completion", "tcsh")
    assert done.exit_code == 2
    assert "bash" in done.stderr
