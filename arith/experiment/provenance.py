"""Where, when and by which code a run was made: what run.json and results files record of it."""

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import arith
from arith.catalogue.registry import import_file
from arith.process.hints import current_command
from arith.results.schema import Results


def provenance_of(parts: Iterable[Results]) -> dict[str, Any]:
    """Where and when each of several runs was made, and by which code."""
    # Not the command line or the imports: they hold paths of a machine, and these results are handed on.
    return {
        name: {key: record[key] for key in ("created", "commit", "device", "versions")}
        for part in parts
        for name, record in part.about["runs"].items()
    }


def results_folder() -> Path:
    """Committed results, which only a checkout has."""
    return Path(arith.__file__).parent.parent / "results"


def provenance(imports: Iterable[str]) -> dict[str, Any]:
    """What run.json records beside the configuration; `imports` has the hash of each of the user's files."""
    # Versions are those of the libraries that numbers depend on: drawing and command line are not among them.
    return {
        "arith": arith.__version__,
        "commit": git_commit(),
        "command": current_command(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_description(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "einops", "safetensors")},
        "imports": {path: import_file(path) for path in imports},
    }


def device_description() -> str:
    """The hardware in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    # Threads decide in which order sums are taken, and with it the last bits of a loss.
    return f"{os.cpu_count()} CPU cores, {torch.get_num_threads()} threads"


def git_commit() -> str:
    """The commit this code is at, `+` if code was changed since; outside a checkout ARITH_COMMIT says it, if set."""
    unknown = os.environ.get("ARITH_COMMIT", "unknown")
    root = Path(arith.__file__).parent.parent
    # Asked of this folder alone: an installed arith may lie inside somebody else's repository, which git would find.
    if not (root / ".git").exists():
        return unknown
    try:
        git = ["git", "-C", str(root)]
        # 12 digits name a commit for good; the 7 that git shows may be shared by another one in time.
        commit = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, encoding="utf-8", check=True
        )
        # Of the code alone: published results that are replaced beside it change no number.
        sources = ["arith", "encodings", "kernels", "tasks"]
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *sources], capture_output=True).returncode
    except (OSError, subprocess.CalledProcessError):
        return unknown
    return commit.stdout.strip() + ("+" if changed else "")
