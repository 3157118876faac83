"""One run, in a process of its own."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config.schema import RunConfig
from arith.experiment.inventory import FAILED
from arith.experiment.run import Run
from arith.process.progress import QUIET
from arith.process.signals import Interrupted
from arith.sweeps import worker
from arith.sweeps.worker import Outcome, RunOrder, work

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


def test_a_run_has_failed_until_it_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[Exception] = [ValueError("no: 12㊷"), Interrupted("go on")]

    def ending(*_: object) -> None:
        raise ends.pop(0)

    monkeypatch.setattr("arith.sweeps.worker.run_and_test", ending)
    monkeypatch.setenv(QUIET, "1")  # which the work sets for good
    config = RunConfig()
    order = RunOrder(str(tmp_path / "run"), "a", config.as_dict(), threads=1)
    assert work(order) == Outcome("failed", "ValueError: no: 12㊷")
    assert "Traceback" in (tmp_path / "run" / FAILED).read_text(encoding="utf-8")
    Run.begin(tmp_path / "run", config, "resume")  # as `arith train --resume` does
    assert not (tmp_path / "run" / FAILED).exists()
    assert work(order) == Outcome("interrupted")
    assert not (tmp_path / "run" / FAILED).exists(), "to be interrupted is no failure"


@pytest.mark.parametrize("part", ["training", "tests", "results"])
def test_a_signal_between_two_parts_of_a_command_is_not_lost(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """After the last step, after the last test and while results are written nothing asks for signals any more."""
    name = {"training": "train", "tests": "evaluate_run", "results": "save_results"}[part]
    work = getattr(worker, name)

    def then_signal(*given: object) -> object:
        done = work(*given)
        signal.raise_signal(signal.SIGTERM)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(worker, name, then_signal)
        stopped = arith("train", *TINY, "--out", "run")
    assert stopped.exit_code == 130
    assert "train --resume --out run" in stopped.stderr
    assert (tmp_path / "run" / "results.json").exists() == (part != "training")
    assert arith("train", "--resume", "--out", "run").exit_code == 0
