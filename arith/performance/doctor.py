"""What this machine has for arith, what it lacks, and the command that brings it."""

import importlib.metadata
import os
import platform
import re
import shutil
from dataclasses import dataclass
from functools import partial

import torch

import arith
from arith.experiment.provenance import git_commit
from arith.kernels import toolchain
from arith.kernels.routing import route
from arith.kernels.terms import DistanceTable, PairTable, QueryTable, Term

DISTRIBUTION = "arith-toolkit"
SHORT, LONG, HEADS, WIDTH = 64, 512, 4, 64  # of the calls of attention that are asked for; kernels change at 128 tokens


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        group: the heading that it stands under.
        name: what was looked at.
        found: what there is, in words.
        advice: what is missing without it, and what to do; empty if nothing is missing.
        needed: whether arith does not work without it.
    """

    group: str
    name: str
    found: str
    advice: str = ""
    needed: bool = False


def examine() -> list[Finding]:
    """Look at versions, processor, compilers and GPU, and at which kernels can run here."""
    return [*_packages(), *_processor(), *_gpu(), *_kernels()]


def render(findings: list[Finding]) -> str:
    """The findings as text, a group after the other.

    >>> print(render([Finding("GPU", "device", "none", "trainings run on the processor")]))
    GPU
      device  none
              -> trainings run on the processor
    """
    width, lines, group = max(len(finding.name) for finding in findings), [], ""
    for finding in findings:
        if finding.group != group:
            lines.append(finding.group)
            group = finding.group
        lines.append(f"  {finding.name:{width}}  {finding.found}")
        if finding.advice:
            lines.append(f"  {'':{width}}  {'MISSING: ' if finding.needed else '-> '}{finding.advice}")
    return "\n".join(lines)


def _packages() -> list[Finding]:
    add = partial(Finding, "versions")
    found = [add("arith", f"{arith.__version__}, commit {git_commit()}"), add("python", platform.python_version())]
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        # From a checkout on the path: what it needs is known where it is installed, as `pip install -e .` does.
        advice = "run from a folder that is not installed: pip install -e . also checks what it needs"
        return [*found, add("torch", torch.__version__), add("packages", "unknown", advice)]
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        # A line such as: accelerate>=1.1; extra == "test"
        name = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
        extra = re.search(r'extra == "(\w+)"', requirement)
        if extra:
            extras.setdefault(extra[1], []).append(name)
        elif (installed := _version(name)) is not None:
            found.append(add(name, installed))
        elif "platform_system" not in requirement or platform.system() == "Linux":
            found.append(add(name, "not installed", f"pip install '{requirement.partition(';')[0].strip()}'", True))
    for wanted, names in extras.items():
        lacking = [name for name in names if _version(name) is None]
        command = f"pip install '{DISTRIBUTION}[{wanted}]' brings {', '.join(lacking)}"
        state = f"{len(names) - len(lacking)} of {len(names)} packages" if lacking else ", ".join(names)
        found.append(add(f"[{wanted}]", state, command if lacking else ""))
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> list[Finding]:
    add = partial(Finding, "processor")
    # Of those in the machine, the ones that this process may run on: containers and job schedulers give fewer.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    many = f"more threads than cores wait for one another: OMP_NUM_THREADS={allowed}" if threads > allowed else ""
    compiler = next(
        (path for name in (os.environ.get("CXX"), "g++", "clang++") if name and (path := shutil.which(name))), None
    )
    lacking = "training.compile needs a C++ compiler here: apt install g++, or set CXX"
    return [
        add("cores", f"{allowed} of {os.cpu_count()}"),
        add("torch threads", str(threads), many),
        add("C++ compiler", compiler or "none", "" if compiler else lacking),
    ]


def _gpu() -> list[Finding]:
    add = partial(Finding, "GPU")
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        why = "no device is visible: nvidia-smi, CUDA_VISIBLE_DEVICES" if built else "this torch is built without CUDA"
        found = [add("device", "none", f"trainings run on the processor; {why}")]
    else:
        properties = torch.cuda.get_device_properties(0)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        found = [
            add("device", f"{properties.name}, {properties.major}.{properties.minor}, {memory}"),
            add("CUDA of torch", str(torch.version.cuda)),
        ]
    triton, ptxas = toolchain.triton_version(), toolchain.ptxas_version()
    wrong = toolchain.known_wrong(triton, ptxas) or ""
    return [
        *found,
        add("triton", triton or "none", "" if triton else "fused kernels need it: pip install triton"),
        add("ptxas", ptxas or "none", f"on Hopper: {wrong}" if wrong else ""),
    ]


def _kernels() -> list[Finding]:
    """What runs calls of attention, by what is added to their scores."""
    if not torch.cuda.is_available():
        return [Finding("attention", "all kinds", "plain torch; the fused kernels need an NVIDIA GPU of 8.0 or newer")]
    found = []
    for tokens in (SHORT, LONG):
        q = torch.zeros(1, HEADS, tokens, WIDTH, device="cuda", dtype=torch.bfloat16)
        terms: dict[str, list[Term]] = {
            "no positions in scores": [],
            "by distance (ALiBi, T5)": [DistanceTable(q.new_zeros(HEADS, 34, dtype=torch.float32))],
            "by pair (FIRE)": [PairTable(q.new_zeros(HEADS, tokens, tokens, dtype=torch.float32))],
            "asked by queries (Shaw)": [QueryTable(q, q.new_zeros(HEADS, 33, WIDTH), first=-16)],
        }
        for name, own in terms.items():
            chosen = route(q, q, q, own)
            runs = f"fused, {chosen.kernel}" if chosen.route == "triton" else f"plain torch: {chosen.why}"
            found.append(Finding(f"attention over {tokens} tokens", name, runs))
    return found
