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
Tables that queries ask are to leave training 0.9 of its speed (`query_table.py`).

No speed is printed for a case that is not right.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import coupled_window
import query_table
import torch
from kernel_checks.cases import Case
from kernel_checks.gates import BACKWARD_PASSES, CLAMPED, FORWARD_PASSES, long_gates, short_gates, size
from kernel_checks.machine import describe_machine, use_one_stage
from kernel_checks.proving import Proof, all_cases, proven
from peers.attention import LONG_PEERS, PEERS, Peer
from peers.truth import Shape, is_right, tensors
from timing import Timer, timed
from triton.testing import do_bench

from arith.process.files import write_whole


@dataclass(frozen=True)
class Plan:
    """What is measured. The first two of each are what gates are about, and are timed beside slow peers.

    Args:
        copied: bytes of the copy whose speed is the measure of all.
    """

    short: tuple[Shape, ...]
    long: tuple[Shape, ...]
    problems: tuple[coupled_window.Problem, ...]
    layers: tuple[query_table.Layer, ...]
    asking: tuple[str, ...] = tuple(query_table.PEERS)
    copied: int = 2**29


FULL = Plan(
    tuple(
        Shape(tokens // n, n, width)
        for tokens, width in ((262_144, 64), (32_768, 64), (262_144, 128), (131_072, 64), (32_768, 128))
        for n in (64, 128, 96, 32)
    ),
    tuple(Shape(32_768 // n, n, radius=radius) for n in (8192, 2048, 16_384, 4096) for radius in (None, CLAMPED)),
    coupled_window.PROBLEMS,
    query_table.LAYERS,
)
HEADLINE = Plan(FULL.short[:2], FULL.long[:4], FULL.problems[:2], FULL.layers[:2])
TINY = Plan(
    (Shape(2, 64, heads=2), Shape(2, 128, heads=2)),
    (Shape(1, 140, width=16, heads=2), Shape(1, 140, width=16, heads=2, radius=8)),
    (coupled_window.Problem(30, batch=1, heads=1, width=16),),
    (query_table.Layer("sliding", 140, 1, 30, window=30, heads=2, width=16),),
    (query_table.OURS, query_table.WITHOUT),
    copied=1000,
)


def measured(peer: Peer, shape: Shape, device: torch.device, timer: Timer) -> dict[str, Any]:
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


def copy_bandwidth(device: torch.device, timer: Timer, copied: int) -> float:
    """Bytes a second that a copy reads and writes."""
    source = torch.empty(copied, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    return 2 * copied / (timer(lambda: target.copy_(source)) / 1000)


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


def measurements(
    plan: Plan, peers: tuple[Peer, ...], device: torch.device, timer: Timer, deadline: float
) -> Iterator[dict[str, Any]]:
    """All rows: what the gates of any length are about before the rest, and what is slow to compile last."""
    quick = tuple(peer for peer in peers if not peer.slow_to_compile)
    slow = tuple(peer for peer in peers if peer.slow_to_compile)
    long = tuple(peer for peer in peers if peer in LONG_PEERS)
    return itertools.chain(
        rows(plan.short[:2], quick, device, timer, deadline),
        coupled_window.rows(plan.problems, device, timer, deadline),
        query_table.rows(plan.layers, plan.asking, device, timer, deadline),
        rows(plan.long, tuple(peer for peer in long if peer in quick), device, timer, deadline),
        rows(plan.short[2:], quick, device, timer, deadline),
        rows(plan.short[:2], slow, device, timer, deadline),
        rows(plan.long[:2], tuple(peer for peer in long if peer in slow), device, timer, deadline),
    )


def with_rates(row: dict[str, Any], bandwidth: float) -> dict[str, Any]:
    """A row with arithmetic and bytes a second, and their share of a copy's."""
    if "both_ms" not in row or row["peer"] == coupled_window.NAME or "extent" in row:
        return row
    shape = Shape(row["batch"], row["n"], row["width"], row["heads"])
    row["both_tflops"] = 3.5 * shape.flop / row["both_ms"] / 1e9
    passes = {"forward": FORWARD_PASSES, "backward": BACKWARD_PASSES}
    for part, count in (*passes.items(), ("both", sum(passes.values()))):
        moved = count * size(row) / (row[f"{part}_ms"] / 1000)
        row |= {f"{part}_gbs": moved / 1e9, f"{part}_share": moved / bandwidth}
    return row


def measure(
    path: Path,
    about: dict[str, Any],
    plan: Plan,
    peers: tuple[Peer, ...],
    device: torch.device,
    timer: Timer,
    deadline: float,
) -> None:
    """Print every row, then the gates; the JSON is whole after each, as a machine that is lent may be gone."""
    began = time.monotonic()
    bandwidth = copy_bandwidth(device, timer, plan.copied)
    print(f"a copy moves {bandwidth / 1e9:.0f} GB/s", flush=True)
    found: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for row in measurements(plan, peers, device, timer, deadline):
        found.append(with_rates(row, bandwidth))
        shown = (f"{key}={value:.3g}" if isinstance(value, float) else str(value) for key, value in row.items())
        print(" ".join(shown), flush=True)
        lines = short_gates(found, bandwidth) + long_gates(found, sorted({shape.n for shape in plan.long}))
        lines += coupled_window.gates(found) + query_table.gates(found, plan.layers)
        told = about | {"copy_gbs": bandwidth / 1e9, "seconds": round(time.monotonic() - began)}
        write_whole(path, json.dumps({**told, "gates": lines, "rows": found}, indent=1) + "\n")
    for line in lines:
        value = "no result" if line["value"] is None else f"{line['value']:.2f}"
        by = f", {line['by']}" if line["by"] else ""
        print(
            f"{'passed' if line['passed'] else 'MISSED'}  {line['gate']}: {value} (bar {line['bar']}{by})", flush=True
        )
    drawn(found, path.with_suffix(".svg"))


def prove(path: Path, about: dict[str, Any], device: torch.device, arguments: argparse.Namespace) -> Proof:
    """Check all cases, and say what came of them; what came so far stands in the JSON."""
    began = time.monotonic()
    cases = [Case(5, 5, terms=("table",)), Case(130, 130, heads=1, key_heads=1)] if arguments.tiny else all_cases()

    def keep(found: Proof) -> None:
        about["proof"] = {"cases": len(cases)} | found.as_dict()
        write_whole(path, json.dumps(about, indent=1) + "\n")

    found = proven(cases, device, arguments.seconds, arguments.workers, keep)
    print(
        f"proof: {found.right} right, {len(found.wrong)} wrong, {len(found.unfinished)} not finished, "
        f"{time.monotonic() - began:.0f} s",
        *found.faults[:20],
        sep="\n  ",
    )
    print(f"compute-sanitizer: {found.sanitizer}", flush=True)
    return found


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder for the JSON and the figure")
    made.add_argument("--minutes", type=float, default=8.0, help="measurements stop then; what is missing is named")
    made.add_argument("--only-proof", action="store_true", help="measure no speed")
    made.add_argument("--no-proof", action="store_true", help="measure speed alone, each result checked as it is timed")
    made.add_argument("--seconds", type=float, default=240.0, help="for the proof; what it does not reach is named")
    made.add_argument("--workers", type=int, default=min(14, os.cpu_count() or 1), help="processes of the proof")
    made.add_argument("--headline", action="store_true", help="eight shapes that say most, in place of all")
    made.add_argument("--peers", action="append", metavar="PART", help="of a name: whom to time, all by default")
    made.add_argument("--tiny", action="store_true", help="sizes that a CPU finishes in seconds")
    return made


def main(given: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(given)
    if not (arguments.tiny or torch.cuda.is_available()):
        sys.exit("benchmarks/attention.py needs a CUDA GPU, and torch sees none. --tiny runs it on a CPU")
    use_one_stage()
    deadline = time.monotonic() + 60 * arguments.minutes
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    about = describe_machine()
    name = about["device"].replace("NVIDIA ", "").replace(",", "").replace(" ", "-")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"kernels-{name}.json"
    faults = [] if arguments.no_proof else prove(path, about, device, arguments).faults
    if not arguments.only_proof:
        plan = TINY if arguments.tiny else HEADLINE if arguments.headline else FULL
        asked = [
            name
            for name in (coupled_window.NAME, *query_table.PEERS, *(peer.name for peer in PEERS))
            if any(part in name for part in arguments.peers or [""])
        ]
        peers = tuple(peer for peer in PEERS if peer.name in asked)
        plan = plan if coupled_window.NAME in asked else replace(plan, problems=())
        plan = replace(plan, asking=tuple(name for name in plan.asking if name in asked))
        measure(path, about, plan, peers, device, cuda_timer if device.type == "cuda" else cpu_timer, deadline)
    sys.exit(1 if faults else 0)


def cuda_timer(run: Callable[[], Any]) -> float:
    return float(do_bench(run, warmup=20, rep=80, return_mode="median"))


def cpu_timer(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
