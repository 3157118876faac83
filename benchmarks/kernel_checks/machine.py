"""The machine and the compiler that results were made with, and kernels with one stage of loads where that is asked."""

import os
import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from arith.experiment.provenance import device_description, git_commit
from arith.kernels.configs import HOPPER
from arith.kernels.long_configs import LONG
from arith.kernels.toolchain import ptxas_version, triton_version

ONE_STAGE = "KERNELS_ONE_STAGE"  # environment variable: `1` where compilers get loads in flight wrong


def describe_machine() -> dict[str, Any]:
    """Device, driver, commit and versions, as every results file of a GPU has them."""
    return {
        "device": device_description(),
        "driver": driver(),
        "commit": git_commit(),
        "one_stage": os.environ.get(ONE_STAGE) == "1",
        "versions": {
            "torch": torch.__version__,
            "triton": triton_version(),
            "ptxas": ptxas_version(),
            "python": platform.python_version(),
        },
    }


def driver() -> str:
    """Version of NVIDIA's driver; unknown where nothing tells it."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


def cuda_tools(name: str) -> list[Path]:
    """A program of CUDA wherever it is installed, which need not be where a shell looks."""
    homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    places = [shutil.which(name), *(Path(home) / "bin" / name for home in homes if home)]
    return list(dict.fromkeys(Path(place).resolve() for place in places if place and os.access(place, os.X_OK)))


def use_one_stage() -> None:
    """Launch all kernels with one stage of loads if the environment asks for it: slower, and simpler to compile."""
    if os.environ.get(ONE_STAGE) == "1":
        HOPPER.update({which: replace(launch, stages=1) for which, launch in HOPPER.items()})
        LONG.update({which: replace(launch, stages=1) for which, launch in LONG.items()})
