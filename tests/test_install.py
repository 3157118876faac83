"""Every way to install works, from elsewhere and from inside the checkout."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.test_rooms import ROOMS

pytestmark = pytest.mark.slow

# A module of every package, whose names setup.cfg lists one by one.
CHECK = """
import importlib, pkgutil
import arith, arith.encodings.rope, arith.tasks.addition, arith.kernels.attention, arith.config.recipe
assert arith.config.recipe.names()
rooms = {name for _, name, is_package in pkgutil.walk_packages(arith.__path__, "arith.") if is_package}
assert rooms >= {f"arith.{room}" for room in ROOMS}, rooms
for room in rooms:
    folder = importlib.import_module(room).__path__
    importlib.import_module(next(name for _, name, package in pkgutil.iter_modules(folder, f"{room}.") if not package))
print(arith.__file__)
""".replace("ROOMS", repr(sorted(ROOMS)))
MODES = {
    "wheel": ["."],
    "editable": ["-e", "."],
    "editable-strict": ["-e", ".", "--config-settings", "editable_mode=strict"],
    "editable-compat": ["-e", ".", "--config-settings", "editable_mode=compat"],
}


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """The tracked files as they are now, links and all."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    target = tmp_path / "checkout"
    for name in listed.decode().split("\0"):
        source = root / name
        if name and os.path.lexists(source):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink():
                (target / name).symlink_to(os.readlink(source))
            else:
                (target / name).write_bytes(source.read_bytes())
    return target


@pytest.mark.parametrize("mode", MODES)
def test_installs(clone: Path, tmp_path: Path, mode: str) -> None:
    # The tests' own packages are seen through system-site-packages-like paths: only arith itself is installed anew.
    environment_folder = tmp_path / "venv"
    venv.create(environment_folder, with_pip=True)
    python = environment_folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    here = next(path for path in sys.path if path.endswith("site-packages"))
    # A plain path entry, not a .pth of editable installs: ours must not be found through it.
    (Path(site) / "dependencies.pth").write_text(f"{here}\n")
    # A new environment's setuptools may be older than what builds arith; the one that came with torch is not.
    subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "setuptools"], check=True)
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", *MODES[mode]], cwd=clone, check=True
    )
    for folder in (tmp_path, clone):
        ran = subprocess.run([python, "-c", CHECK], cwd=folder, capture_output=True, text=True)
        assert ran.returncode == 0, f"{mode} from {folder}: {ran.stderr}"
        found = Path(ran.stdout.strip())
        # From elsewhere a wheel is what was installed; inside the checkout Python finds the checkout first.
        expected = environment_folder if mode == "wheel" and folder == tmp_path else clone
        assert found.resolve().is_relative_to(expected), f"{mode} from {folder}: {found}"
        listed = subprocess.run([python, "-m", "arith", "list", "recipes"], cwd=folder, capture_output=True, text=True)
        assert "extrapolation" in listed.stdout, f"{mode} from {folder}: {listed.stderr}"


def test_runs_from_the_checkout_without_installation(clone: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", CHECK], cwd=clone, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert str(clone) in ran.stdout


def test_torchrun_from_the_checkout(clone: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "--no-python"]
    ran = subprocess.run(
        [*torchrun, sys.executable, "-m", "arith", "list", "tasks"],
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "addition" in ran.stdout, ran.stderr
