"""What several tests need."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Asked for before anything imports Triton: the fused kernels run in its interpreter, without a GPU.
os.environ.setdefault("TRITON_INTERPRET", "1")

import pytest
import torch

ROOT = Path(__file__).parent.parent

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Shells start what runs in the background like this; tests of Ctrl-C, and the processes that they start, need it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from a million objects of torch and transformers: each training looks through them."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the interpreter take its modules down: extensions complain of what is still there then."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def environment_is_left_as_it_was() -> Iterator[None]:
    """What a test leaves in the environment reaches the processes that later tests start."""
    before = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    yield
    after = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name) and name.startswith("ARITH")}
    for name in changed:
        del os.environ[name]
    assert not changed


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
