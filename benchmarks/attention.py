"""Fused attention with a learnable bias on a GPU: whether it is right, then how fast it is beside what people use.

    make gpu-kernels          under 9 minutes on one H100; writes results/gpu/kernels-DEVICE.json and the figure

Short sequences are bound by memory: the forward pass has to move 4 tensors of the inputs' size, the backward pass 7,
and what counts is the share of the bandwidth that a plain copy reaches. Gates, with a learnable bias, forward and
backward with its gradient, at 64 to 128 tokens: 70% of that bandwidth (80% for the forward pass alone at 64), twice as
fast as SDPA with a dense learnable bias, 4 times FlexAttention with a learnable table, 1.5 times FlexAttention with a
frozen one.

Long sequences, 2,048 to 16,384 tokens at head width 64, are bound by arithmetic, and what counts is what a learnable
table costs. Gates: the forward pass 0.9 times as fast as without a bias (0.75 where every distance has a score of its
own); the table's gradient at most 1.1 (1.4) times the time of a backward pass without it; forward and backward 2.5
times as fast as SDPA with a dense learnable bias, in a 20th of its memory at 8,192 tokens; 3 times as fast backward as
FlexAttention with a learnable table, 0.9 times forward as with a frozen one or none. A coupled window is to cost each
digit of an addition of 10,000 digits what it costs each of 1,000 (`coupled_window.py`).

No speed is printed for a case that is not right.
"""

import argparse
import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import coupled_window
import torch
import triton
from kernel_checks import proof
from peers.attention import LONG_PEERS, PEERS, Peer
from timing import Timer, gradients, timed
from torch import Tensor
from triton.testing import do_bench

from arith.experiment.provenance import git_commit
from arith.kernels.attention import attention
from arith.kernels.configs import LONGEST
from arith.kernels.routing import Backend
from arith.kernels.terms import DistanceTable

FORWARD_PASSES, BACKWARD_PASSES = 4, 7  # tensors of the size of q to and from memory, at least
DENSE, FLEX = "SDPA, dense learnable bias", "FlexAttention, learnable"
Part = tuple[slice, slice]  # of samples and heads
# That the proof may take, and the sanitizer beside it. It compiles 500 kernels, each a second or two of a core.
PROOF_SECONDS = 240


@dataclass(frozen=True)
class Shape:
    """Of one measurement, in bfloat16 and causal.

    Args:
        radius: of the table; None: every distance has a score of its own.
    """

    batch: int
    n: int
    width: int = 64
    heads: int = 12
    radius: int | None = None

    @property
    def bytes(self) -> int:
        """Of one of q, k, v, output."""
        return 2 * self.batch * self.heads * self.n * self.width

    @property
    def flop(self) -> int:
        """Of the forward pass, half of the pairs being hidden; the backward pass does 2.5 times as many."""
        return 2 * self.batch * self.heads * self.n**2 * self.width


# The first are what the gates are about: should time run out, the rest is missing.
SHAPES = tuple(
    Shape(tokens // n, n, width)
    for tokens, width in ((262_144, 64), (32_768, 64), (262_144, 128), (131_072, 64), (32_768, 128))
    for n in (64, 128, 96, 32)
)
CLAMPED = 128
LONG_SHAPES = tuple(
    Shape(32_768 // n, n, radius=radius) for n in (8192, 2048, 16_384, 4096) for radius in (None, CLAMPED)
)


QUICK = tuple(peer for peer in PEERS if not peer.slow_to_compile)


def tensors(shape: Shape, device: torch.device) -> tuple[list[Tensor], Tensor, Tensor]:
    """q, k, v, the output's gradient, and a table of scores by distance."""
    generator = torch.Generator(device).manual_seed(0)
    size = (shape.batch, shape.n, shape.heads, shape.width)
    q, k, v, dout = (
        torch.randn(size, generator=generator, device=device, dtype=torch.bfloat16).transpose(1, 2) for _ in range(4)
    )
    slots = 2 * (shape.radius or shape.n - 1) + 2
    table = torch.randn(shape.heads, slots, generator=generator, device=device)
    return [x.requires_grad_() for x in (q, k, v)], dout, table.requires_grad_()


def parts(shape: Shape, learns: bool) -> Iterator[Part]:
    """Samples and heads that are checked together. A table's gradient takes all samples; long ones only some heads."""
    long = shape.n > LONGEST
    step = 1 if long else 64
    heads = [slice(0, 1), slice(shape.heads - 1, None)] if long else [slice(None)]
    for start in range(0, shape.batch if learns else step, step):
        for own in heads:
            yield slice(start, start + step), own


@functools.lru_cache(maxsize=2)  # with and without a bias: all peers of a shape are compared with them
def truth(shape: Shape, biased: bool, device: torch.device) -> tuple[list[tuple[Part, tuple[Tensor, ...]]], Tensor]:
    """Output and gradients of q, k and v in float64, part by part, and the table's gradient of all parts."""
    inputs, dout, table = tensors(shape, device)
    total = torch.zeros_like(table, dtype=torch.float64)
    found = []
    for part in parts(shape, biased):
        exact = [x.detach()[part].double().requires_grad_() for x in inputs]
        wide = table.detach()[part[1]].double().requires_grad_()
        out = attention(*exact, terms=(DistanceTable(wide),) if biased else (), backend="reference")
        sums = gradients(out, [*exact, wide] if biased else exact, dout[part].double())
        if biased:
            total[part[1]] += sums[3]
        found.append((part, (out.detach(), *sums[:3])))
    return found, total


def is_right(peer: Peer, shape: Shape, device: torch.device) -> bool:
    """Output and gradients of some samples, and the table's over the whole batch, against float64."""
    inputs, dout, table = tensors(shape, device)
    learned = [table] if peer.learns else []
    out = peer.make(inputs, table if peer.biased else None)()
    found = [out, *gradients(out, [*inputs, *learned], dout)]
    exact, total = truth(shape, peer.biased, device)
    right = all(
        bool((ours[part].double() - theirs).norm() <= 0.02 * theirs.norm())
        for part, values in exact
        for ours, theirs in zip(found[:4], values, strict=True)
    )
    if peer.learns:
        # A peer's gradient may be of the inputs' type; ours has a bound of its own in the proof.
        heads = sorted({head for (_, own), _ in exact for head in range(shape.heads)[own]})
        right &= bool((found[4].double() - total)[heads].norm() <= 0.05 * total[heads].norm())
    return right


def measured(peer: Peer, shape: Shape, device: torch.device, timer: Timer) -> dict[str, float]:
    """What a peer takes."""
    inputs, dout, table = tensors(shape, device)
    run = peer.make(inputs, table if peer.biased else None)
    return timed(run, [*inputs, *([table] if peer.learns else [])], dout, timer, graph=not peer.slow_to_compile)


def rows(
    shapes: tuple[Shape, ...], peers: tuple[Peer, ...], device: torch.device, timer: Timer, deadline: float
) -> Iterator[dict[str, Any]]:
    """A row for each shape and peer; one that fails or is wrong says so instead of its speed.

    Peers that are slow to compile run on the first two shapes only.
    """
    for shape in shapes:
        for peer in peers:
            if peer.slow_to_compile and shape not in shapes[:2]:
                continue
            row: dict[str, Any] = {"peer": peer.name, **asdict(shape)}
            if time.monotonic() > deadline:
                yield {**row, "skipped": "out of time"}
                continue
            try:
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                right = is_right(peer, shape, device)
                yield {**row, **measured(peer, shape, device, timer)} if right else {**row, "skipped": "wrong"}
            except Exception as error:  # a peer that cannot run a shape must not end the run
                yield {**row, "skipped": f"{type(error).__name__}: {str(error)[:200]}"}


def copy_bandwidth(device: torch.device, timer: Timer, size: int) -> float:
    """Bytes a second that a copy reads and writes."""
    source = torch.empty(size, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    return 2 * size / (timer(lambda: target.copy_(source)) / 1000)


def gates(found: list[dict[str, Any]], bandwidth: float) -> list[dict[str, Any]]:
    """Each bar with its value, at 64 and 128 tokens and head width 64."""
    lines = []
    for n in (64, 128):
        by_peer = {
            row["peer"]: row for row in reversed(found) if row["n"] == n and row["width"] == 64 and "both_ms" in row
        }
        ours = by_peer.get("arith, learnable")
        if ours is None:
            lines.append({"gate": f"n={n}: no right result of ours", "bar": 1, "value": None, "passed": False})
            continue
        size = Shape(ours["batch"], n).bytes
        share = {
            "forward": FORWARD_PASSES * size / (ours["forward_ms"] / 1000) / bandwidth,
            "both": (FORWARD_PASSES + BACKWARD_PASSES) * size / (ours["both_ms"] / 1000) / bandwidth,
        }
        bars = [(f"n={n}: share of copy bandwidth, forward and backward", 0.7, share["both"])]
        if n == 64:
            bars.append(("n=64: share of copy bandwidth, forward", 0.8, share["forward"]))
        for peer, bar in (
            ("SDPA, dense learnable bias", 2.0),
            ("FlexAttention, learnable", 4.0),
            ("FlexAttention, frozen", 1.5),
            ("FlexAttention, no bias", 1.5),
        ):
            other = by_peer.get(peer)
            bars.append((f"n={n}: times as fast as {peer}", bar, other and other["both_ms"] / ours["both_ms"]))
        lines += [
            {"gate": gate, "bar": bar, "value": value, "passed": value is not None and value >= bar}
            for gate, bar, value in bars
        ]
    return lines


def long_gates(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each bar of long sequences with its value; one that is a limit from above says so."""
    lines: list[dict[str, Any]] = []
    for n in sorted({shape.n for shape in LONG_SHAPES}):
        for radius, forward, backward in ((None, 0.75, 1.4), (CLAMPED, 0.9, 1.1)):
            by_peer = {row["peer"]: row for row in found if row["n"] == n and row["radius"] == radius}

            def ratio(one: str, other: str, what: str, own: dict[str, Any] = by_peer) -> float | None:
                values = [own.get(name, {}).get(what) for name in (one, other)]
                return None if None in values else values[0] / values[1]

            ours, plain = "arith, learnable", "arith, no bias"
            bars = [
                ("forward, times as fast as without a bias", forward, ratio(plain, ours, "forward_ms"), False),
                ("table's gradient, backward's time", backward, ratio(ours, "arith, frozen", "backward_ms"), True),
                ("times as fast as SDPA, dense learnable bias", 2.5, ratio(DENSE, ours, "both_ms"), False),
            ]
            if n == 8192:
                bars += [
                    ("memory beside SDPA, dense learnable bias", 0.05, ratio(ours, DENSE, "peak_bytes"), True),
                    ("backward, FlexAttention, learnable", 3.0, ratio(FLEX, ours, "backward_ms"), False),
                ]
                bars += [
                    (
                        f"forward, FlexAttention, {kind}",
                        0.9,
                        ratio(f"FlexAttention, {kind}", f"arith, {kind}", what),
                        False,
                    )
                    for kind, what in (("frozen", "forward_ms"), ("no bias", "forward_ms"))
                ]
            name = f"n={n}, {'all distances' if radius is None else f'up to {radius}'}"
            lines += [
                {
                    "gate": f"{name}: {gate}",
                    "bar": bar,
                    "value": value,
                    "passed": value is not None and (value <= bar if above else value >= bar),
                }
                for gate, bar, value, above in bars
            ]
    return lines


def wrong_cases(part: tuple[int, int, str]) -> list[str]:
    """Cases of the proof that fail, of every `step`-th from `start` on."""
    start, step, device = part
    wrong = []
    small = device == "cpu"
    for case in [*proof.cases(small), *proof.long_cases(small)][start::step]:
        try:
            backend: Backend = "triton" if device == "cuda" else "auto"
            bad = [finding for finding in proof.findings(case, torch.device(device), backend) if not finding.right]
            wrong += [f"{case}: {finding}" for finding in bad]
        except Exception as error:
            wrong.append(f"{case}: {type(error).__name__}: {str(error)[:200]}")
        if device == "cuda":  # which other processes need too
            with contextlib.suppress(RuntimeError):  # after an illegal access, nothing can be said to a device
                torch.cuda.empty_cache()
    return wrong


def sanitized() -> str:
    """What compute-sanitizer finds in a few small cases, where it is installed."""
    if shutil.which("compute-sanitizer") is None:
        return "compute-sanitizer is not installed"
    script = (
        "import torch; from kernel_checks import proof; from kernel_checks.proof import Case\n"
        "terms = ('table', 'ids', 'id-window')\n"
        "for case in (Case(17, 17, terms=terms), Case(70, 70, terms=terms, dtype=torch.bfloat16)):\n"
        "    assert all(f.right for f in proof.findings(case, torch.device('cuda')))\n"
    )
    command = ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9", sys.executable, "-c", script]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # `-c` does not look beside this file
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return "not finished in 2 minutes"
    return "no errors" if done.returncode == 0 else f"exit {done.returncode}: {(done.stdout + done.stderr)[-500:]}"


def proven(device: torch.device, seconds: float = PROOF_SECONDS) -> tuple[list[str], str]:
    """Cases of the proof that fail, and what the sanitizer says, worked out side by side."""
    if device.type != "cuda":
        return wrong_cases((0, 1, device.type)), "needs a GPU"
    limit = time.monotonic() + seconds
    workers = min(8, os.cpu_count() or 1)
    wrong, sanitizer = [], "not finished"
    with multiprocessing.get_context("spawn").Pool(workers + 1) as pool:
        told = pool.apply_async(sanitized)
        parts = [pool.apply_async(wrong_cases, ((start, workers, device.type),)) for start in range(workers)]
        for start, part in enumerate(parts):
            try:
                wrong += part.get(max(0.0, limit - time.monotonic()))
            except multiprocessing.TimeoutError:  # a process that dies says nothing
                wrong.append(f"cases {start}, {start + workers}, ...: not finished in {seconds:.0f} s")
        with contextlib.suppress(multiprocessing.TimeoutError):
            sanitizer = told.get(max(0.0, limit - time.monotonic()))
    return wrong, sanitizer


def drawn(found: list[dict[str, Any]], path: Path) -> None:
    """Time of each peer for forward and backward, at 64 and 128 tokens; and of a coupled window, against digits."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [row for row in found if "both_ms" in row and row["width"] == 64 and row["n"] in (64, 128)]
    most = max((row["batch"] * row["n"] for row in shown), default=0)
    figure, (*axes, curve) = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
    axes[1].sharey(axes[0])
    for n, axis in zip((64, 128), axes, strict=True):
        bars = [row for row in shown if row["n"] == n and row["batch"] * n == most]
        axis.barh([row["peer"] for row in bars], [row["both_ms"] for row in bars], color="0.55")
        axis.set(title=f"{n} tokens", xlabel="forward and backward (ms)")
    axes[0].invert_yaxis()  # both share it
    axes[1].tick_params(labelleft=False)
    measured = sorted((row["digits"], row["both_ms"]) for row in found if "digits" in row and "both_ms" in row)
    curve.loglog(*zip(*measured, strict=True) if measured else ((), ()), color="0.3", marker="o", markersize=3)
    curve.set(title="coupled window", xlabel="digits of each operand", ylabel="forward and backward (ms)")
    figure.savefig(path)
    plt.close(figure)


def report(
    device: torch.device,
    name: str,
    shapes: tuple[Shape, ...],
    long_shapes: tuple[Shape, ...],
    problems: tuple[coupled_window.Problem, ...],
    timer: Timer,
    deadline: float,
    out: Path,
    copied: int,
) -> list[str]:
    """Prove, measure, write the JSON and the figure, and print it all; what is wrong comes back."""
    began = time.monotonic()
    wrong, sanitizer = proven(device)
    print(f"proof: {len(wrong)} wrong, {time.monotonic() - began:.0f} s", *wrong[:20], sep="\n  ")
    print(f"compute-sanitizer: {sanitizer}", flush=True)
    if sanitizer.startswith("exit"):
        wrong.append(f"compute-sanitizer: {sanitizer}")
    bandwidth = copy_bandwidth(device, timer, copied)
    print(f"a copy moves {bandwidth / 1e9:.0f} GB/s", flush=True)
    about = {
        "device": name,
        "commit": git_commit(),
        "versions": {"torch": torch.__version__, "triton": triton.__version__, "python": platform.python_version()},
        "wrong": wrong,
        "sanitizer": sanitizer,
        "copy_gbs": bandwidth / 1e9,
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"kernels-{name.replace('NVIDIA ', '').replace(' ', '-')}.json"
    found: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    # What the gates of either are about comes before the rest.
    measurements = itertools.chain(
        rows(shapes[:2], PEERS, device, timer, deadline),
        coupled_window.rows(problems, device, timer, deadline),
        rows(long_shapes, LONG_PEERS, device, timer, deadline),
        rows(shapes[2:], QUICK, device, timer, deadline),
    )
    for row in measurements:
        if "both_ms" in row and row["peer"] != coupled_window.NAME:
            shape = Shape(row["batch"], row["n"], row["width"], row["heads"])
            row["both_tflops"] = 3.5 * shape.flop / row["both_ms"] / 1e9
            passes = {"forward": FORWARD_PASSES, "backward": BACKWARD_PASSES}
            for part, count in (*passes.items(), ("both", sum(passes.values()))):
                moved = count * shape.bytes / (row[f"{part}_ms"] / 1000)
                row |= {f"{part}_gbs": moved / 1e9, f"{part}_share": moved / bandwidth}
        found.append(row)
        shown = (f"{key}={value:.3g}" if isinstance(value, float) else str(value) for key, value in row.items())
        print(" ".join(shown), flush=True)
        # Whole after every row: a machine that is lent may be gone before the last.
        lines = [] if wrong else [*gates(found, bandwidth), *long_gates(found), *coupled_window.gates(found)]
        seconds = round(time.monotonic() - began)
        path.write_text(json.dumps({**about, "seconds": seconds, "gates": lines, "rows": found}, indent=1) + "\n")
    drawn(found, path.with_suffix(".svg"))
    for gate in lines:
        value = "no result" if gate["value"] is None else f"{gate['value']:.2f}"
        print(f"{'passed' if gate['passed'] else 'MISSED'}  {gate['gate']}: {value} (bar {gate['bar']})")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder for the JSON and the figure")
    parser.add_argument("--minutes", type=float, default=8.0, help="measurements stop then; what is missing is named")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks/attention.py needs a CUDA GPU, and torch sees none. On a CPU, the kernels are only tested")

    def timer(run: Callable[[], Any]) -> float:
        return float(do_bench(run, warmup=20, rep=80, return_mode="median"))

    deadline = time.monotonic() + 60 * arguments.minutes
    name = torch.cuda.get_device_name()
    device, problems = torch.device("cuda"), coupled_window.PROBLEMS
    wrong = report(device, name, SHAPES, LONG_SHAPES, problems, timer, deadline, arguments.out, 2**29)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
