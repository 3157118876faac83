import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import triton

from arith.kernels import toolchain


@pytest.fixture(autouse=True)
def asked_anew() -> None:
    toolchain.triton_version.cache_clear()
    toolchain.ptxas_version.cache_clear()


def test_versions_are_those_that_triton_uses() -> None:
    assert toolchain.triton_version() == triton.__version__
    own = toolchain.ptxas_version()
    assert own is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", own)


@pytest.mark.parametrize("name", ["TRITON_PTXAS_PATH", "TRITON_PTXAS_BLACKWELL_PATH"])
def test_ptxas_of_the_environment_is_the_one_that_counts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = toolchain.ptxas_version(80 if name == "TRITON_PTXAS_PATH" else 100)
    other = tmp_path / "ptxas"
    other.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 99.1, V99.1.7'\n")
    other.chmod(0o755)
    monkeypatch.setenv(name, str(other))
    toolchain.ptxas_version.cache_clear()
    found = toolchain.ptxas_version(80 if name == "TRITON_PTXAS_PATH" else 100)
    assert found == "99.1.7" != before


def test_a_path_that_cannot_be_run_falls_back_as_triton_does(monkeypatch: pytest.MonkeyPatch) -> None:
    own = toolchain.ptxas_version(80)
    monkeypatch.setenv("TRITON_PTXAS_PATH", "/nowhere/ptxas")
    toolchain.ptxas_version.cache_clear()
    assert toolchain.ptxas_version(80) == own


def test_without_triton_there_is_no_version(root: Path) -> None:
    script = (
        "import sys; sys.modules['triton'] = None\n"
        "from arith.kernels import toolchain\n"
        "print(toolchain.triton_version(), toolchain.ptxas_version())"
    )
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "None"]


def test_versions_are_compared_as_numbers() -> None:
    for version, wrong in (
        ("3.3.1", False),
        ("3.4.0", True),
        ("3.6.0+git1b0418a9", True),
        ("3.7.0", True),
        ("3.7.1", False),
        ("3.10.0", False),
        (None, False),
    ):
        assert (toolchain.known_wrong(version, None) is not None) == wrong, version
    for ptxas, wrong in (("12.8.93", True), ("13.0.88", True), ("13.3.33", False), ("13.10.1", False), (None, False)):
        assert (toolchain.known_wrong(None, ptxas) is not None) == wrong, ptxas
