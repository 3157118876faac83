"""Folders that hold a model for Hugging Face, and the runs that they came from."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from transformers import AutoModelForCausalLM, AutoTokenizer

from arith.errors import UsageError
from arith.evaluation.answers import ask
from arith.experiment.exported import open_model


def test_an_exported_run_answers_and_is_tested_like_the_run(arith: Callable[..., Result], run: Path) -> None:
    wrote = arith("export", str(run), "--to", "adder")
    assert wrote.exit_code == 0, wrote.stderr
    asked = arith("ask", "adder", "12+34", "5+77")
    assert asked.stdout == arith("ask", str(run), "12+34", "5+77").stdout
    model, tokenizer = AutoModelForCausalLM.from_pretrained("adder"), AutoTokenizer.from_pretrained("adder")
    for problem, reply in zip(("12+34", "5+77"), ask(Path("adder"), ["12+34", "5+77"]), strict=True):
        prompt = tokenizer(f"{problem}=", return_tensors="pt")
        written = tokenizer.decode(model.generate(**prompt, max_new_tokens=4)[0, prompt["input_ids"].shape[1] :])
        assert written.rstrip("_") == reply.written
    options = ("--test-digits", "1-2", "--samples", "20", "--suites", "random")
    tables = [arith("evaluate", place, *options).stdout.partition("results ")[0] for place in ("adder", str(run))]
    assert tables[0] == tables[1]
    assert "exact match" in tables[0]


def test_an_exported_model_is_begun_with_and_what_it_becomes_names_no_path(
    arith: Callable[..., Result], run: Path, tmp_path: Path
) -> None:
    assert arith("export", str(run), "--to", "sums").exit_code == 0
    same = ("--digits", "1-2", "--test-digits", "1-2", "--samples", "9", "--batch", "8", "--steps", "2")
    for place, out in (("sums", "one"), (str(run), "other")):
        begun = arith("train", "--init", f"run:{place}", *same, "--out", out)
        assert begun.exit_code == 0, begun.stderr
    first, second = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "other"))
    assert (first["init"]["sha256"], first["init"]["step"]) == (second["init"]["sha256"], second["init"]["step"])
    assert arith("export", "one", "--to", "finer").exit_code == 0
    assert str(tmp_path) not in (tmp_path / "finer" / "config.json").read_text()
    assert "parameters, that began as `sums`, trained on" in (tmp_path / "finer" / "README.md").read_text()
    shutil.rmtree(tmp_path / "sums")
    assert arith("ask", "finer", "1+2").exit_code == 0


@pytest.mark.parametrize("name", ["", ".", "..", "../mine", "addition/mine", "a b"])
def test_a_shipped_model_is_named_by_no_path(arith: Callable[..., Result], run: Path, name: str) -> None:
    refused = arith("export", str(run), "--ship", name)
    assert refused.exit_code == 2
    assert "--ship takes a name" in refused.stderr


def test_what_cannot_be_exported_is_refused(arith: Callable[..., Result], run: Path, tmp_path: Path) -> None:
    assert "--to DIR" in arith("export", str(run)).stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    assert "is no exported model" in arith("export", str(run), "--to", "mine", "--overwrite").stderr
    assert arith("export", str(run), "--to", "adder").exit_code == 0
    assert "--overwrite" in arith("export", str(run), "--to", "adder").stderr
    assert arith("export", str(run), "--to", "adder", "--overwrite").exit_code == 0
    untested = tmp_path / "untested"
    shutil.copytree(run, untested)
    (untested / "results.json").unlink()
    assert "has no results.json" in arith("export", str(untested), "--to", "other").stderr
    values = json.loads((tmp_path / "adder" / "config.json").read_text())
    values["run"]["imports"] = ["evil.py"]
    (tmp_path / "adder" / "config.json").write_text(json.dumps(values))
    with pytest.raises(UsageError, match=r"evil\.py, and code that comes with a model is not run"):
        open_model(tmp_path / "adder")


@pytest.mark.slow
def test_programs_that_do_not_import_arith_load_it_as_remote_code(
    arith: Callable[..., Result], run: Path, tmp_path: Path
) -> None:
    assert arith("export", str(run), "--to", "adder").exit_code == 0
    environment = os.environ | {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}

    def program(code: str) -> subprocess.CompletedProcess[str]:
        lines = ("from transformers import AutoModelForCausalLM, AutoTokenizer", *code.split("; "))
        command = [sys.executable, "-c", "\n".join(lines)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    reply = (
        "prompt = AutoTokenizer.from_pretrained('adder')('12+34=', return_tensors='pt'); "
        "print(type(model).__name__, model.generate(**prompt, max_new_tokens=4).tolist())"
    )
    load = "model = AutoModelForCausalLM.from_pretrained('{}', trust_remote_code=True)"
    first = program(f"{load.format('adder')}; {reply}; model.save_pretrained('again')")
    assert first.stdout.startswith("ArithForCausalLM [["), first.stderr
    # Saved by transformers, of a model that was remote code and of one that was imported, it is loaded the same way.
    own = "import arith.hf.model; model = AutoModelForCausalLM.from_pretrained('adder'); model.save_pretrained('own')"
    assert program(own).returncode == 0
    for folder in ("again", "own"):
        assert [path.name for path in (tmp_path / folder).glob("*.py")] == ["arith_hf.py"]
        assert program(f"{load.format(folder)}; {reply}").stdout == first.stdout
    # Without arith, the message names the package that has it.
    lacking = program(f"import sys; sys.modules['arith'] = None; {load.format('adder')}")
    assert "pip install 'arith-toolkit[hf]' (the package called arith is another one)" in lacking.stderr
    assert "pip install arith`" not in lacking.stderr


def test_what_transformers_saves_has_the_module_beside_it(arith: Callable[..., Result], run: Path) -> None:
    assert arith("export", str(run), "--to", "adder").exit_code == 0
    model = AutoModelForCausalLM.from_pretrained("adder")
    model.save_pretrained("again")
    for name in ("config.json", "arith_hf.py"):
        assert Path("again", name).read_text() == Path("adder", name).read_text()
    assert json.loads(Path("again/config.json").read_text())["auto_map"]["AutoConfig"] == "arith_hf.ArithConfig"
