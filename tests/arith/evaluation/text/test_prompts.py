"""Options of a test by text that contradict each other."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result


def test_what_goes_not_together_is_refused(arith: Callable[..., Result], gpt2: Path, tmp_path: Path) -> None:
    def error(*arguments: str) -> str:
        ran = arith("evaluate", *arguments)
        assert ran.exit_code == 2, ran.output
        return ran.stderr

    assert "name a run, a local model by --hf" in error()
    assert "give it without --hf and --prompts" in error("--replies", "a", "--hf", "b")
    assert "nothing is downloaded" in error("--hf", "gpt2")
    assert "--anatomy is for runs" in error("--hf", str(gpt2), "--anatomy")
    assert "leave RUN or it out" in error("runs/mine", "--shots", "3")
    assert "the model has 64 positions" in error("--hf", str(gpt2), "--shots", "9", "--samples", "2")
    (tmp_path / "said.jsonl").write_text("{}")
    assert "leave out --test-digits" in error("--replies", "said.jsonl", "--test-digits", "3")
    assert "exists" in error("--prompts", "said.jsonl")
    assert (
        arith("evaluate", "--hf", str(gpt2), "--samples", "2", "--test-digits", "1", "--out", "own.json").exit_code == 0
    )
    assert "of another model or test" in error("--hf", str(gpt2), "--format", "reversed", "--out", "own.json")
    shown = arith("evaluate", "--prompts", "new.jsonl", "--dry-run")
    assert "random 5 digits, 100 problems" in shown.stdout
    assert not (tmp_path / "new.jsonl").exists()
