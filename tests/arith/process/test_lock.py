"""A folder is for one process."""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.errors import UsageError
from arith.process.lock import in_use, lock_folder

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


def _hold(folder: str, ready: "multiprocessing.Queue[int]") -> None:
    with lock_folder(Path(folder)):
        ready.put(os.getpid())
        time.sleep(60)


def test_a_folder_is_for_one_process_and_a_lock_dies_with_its_holder(arith: Arith, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    holder = context.Process(target=_hold, args=(str(tmp_path / "run"), ready))
    holder.start()
    pid = ready.get()
    refused = arith("train", *TINY, "--out", "run")
    assert refused.exit_code == 2
    assert f"run is in use by process {pid} on" in refused.stderr
    assert in_use(tmp_path / "run")
    holder.kill()
    holder.join()
    assert (tmp_path / "run" / "lock").is_file(), "a killed process leaves its file"
    assert not in_use(tmp_path / "run")
    assert arith("train", *TINY, "--out", "run").exit_code == 0


def test_a_lock_leaves_nothing_in_a_folder_that_is_no_run(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert arith("train", *TINY, "--out", "mine", "--overwrite").exit_code == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_usage_errors_of_the_lock_are_usage_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file, and a run is a folder"), lock_folder(tmp_path / "file"):
        pass
