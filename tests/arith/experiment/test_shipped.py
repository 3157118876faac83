"""Models that come along."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.experiment import shipped
from arith.experiment.exported import open_model
from arith.results.schema import Results


@pytest.mark.parametrize("name", shipped.names())
def test_a_shipped_model_is_small_and_answers_with_what_its_card_says(arith: Callable[..., Result], name: str) -> None:
    folder = shipped.FOLDER / name
    assert (folder / "model.safetensors").stat().st_size < shipped.LARGEST
    results = Results.load(folder / "results.json")
    model = open_model(Path(name))
    assert {cell.encoding for cell in results.cells} == {model.config.encoding}
    assert shipped.line(name) in arith("list", "shipped").stdout
    # A few of the very problems that were counted.
    published = next(own for own in results.cells if own.suite == "random" and own.digits > 1)
    digits = ("--test-digits", str(published.digits))
    tested = arith("evaluate", name, *digits, "--samples", "50", "--suites", "random", "--json")
    assert tested.exit_code == 0, tested.stderr
    assert json.loads(tested.stdout)["cells"][0]["accuracy"] >= published.low - 0.1


def test_problems_alone_are_answered_by_a_shipped_model(arith: Callable[..., Result]) -> None:
    asked = arith("ask", "123+456", "99999999999+1")
    assert asked.stdout == "123+456 = 579   right\n99999999999+1 = 100000000000   right\n"
    assert "no shipped model answers '3-2'" in arith("ask", "3-2").stderr
    assert "what is to be asked" in arith("ask", "addition").stderr
    assert "what is to be asked" in arith("ask").stderr
    assert "no shipped model answers '12/4'" in arith("ask", "12/4").stderr
    assert "Did you mean 'addition'" in arith("ask", "additoin", "1+2").stderr


def test_nothing_of_hugging_face_is_needed_to_ask(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(transformers=None, tokenizers=None, huggingface_hub=None)\n"
        "from arith.cli import cli\n"
        "cli(['ask', '123+456'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout == "123+456 = 579   right\n", ran.stderr


@pytest.mark.parametrize("changes", [{"run": 3}, {"run": {}, "step": []}, {"run": {"task": 3}}, {"step": 10**400}])
@pytest.mark.parametrize("command", ["ask exported 1+2", "evaluate --hf exported --dry-run"])
def test_an_exported_model_that_was_edited_is_refused_in_words(
    arith: Callable[..., Result], tmp_path: Path, changes: dict[str, object], command: str
) -> None:
    shutil.copytree(shipped.FOLDER / "addition", tmp_path / "exported")
    described = tmp_path / "exported" / "config.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | changes))
    ended = arith(*command.split())
    assert ended.exit_code == 2 or "--hf" in command
    assert ended.exit_code == 0 or ended.stderr.startswith("Error: ")
