"""Which tiles, warps and stages make the plain forward pass of long sequences fastest: six of them, in a minute.

    python benchmarks/forward_configs.py [--out DIR]        on the GPU
    python benchmarks/forward_configs.py --compile          anywhere: registers, spills, shared memory, instructions

With 128 registers a thread or fewer, a multiprocessor holds two programs of 8 warps, of which one computes while the
other waits; larger tiles and fewer warps take more registers. Which is better is for the device to say. Prints
milliseconds of CUDA graphs, at 4,096 and 8,192 tokens of 12 heads of 64, for each configuration that gives the right
output.
"""

import argparse
import json
from pathlib import Path

import torch
from kernel_checks.compiling import disassemble, read
from kernel_checks.instructions import loops
from kernel_checks.long_resources import Case, build
from kernel_checks.machine import describe_machine
from timing import graphed

from arith.kernels import long_configs
from arith.kernels.attention import attention
from arith.kernels.long_configs import LongConfig

FORWARD = ("long forward", False)  # heads up to 64 wide
CONFIGS = (
    long_configs.LONG[FORWARD],
    LongConfig(128, 64, warps=4, stages=2),
    LongConfig(128, 64, warps=4, stages=3),
    LongConfig(128, 64, warps=8, stages=3),
    LongConfig(128, 128, warps=8, stages=2),
    LongConfig(64, 64, warps=4, stages=3),
)
SHAPES = ((4, 4096), (2, 8192))  # samples, tokens
HEADS, WIDTH = 12, 64
ALLOWED = 1e-2  # of the largest output, beside float32: bfloat16 has 8 bits


def measure(launch: LongConfig, device: torch.device) -> dict[str, float | None]:
    """Milliseconds of each shape; None where the output is wrong or no graph can be made."""
    long_configs.LONG[FORWARD] = launch
    found: dict[str, float | None] = {}
    for samples, tokens in SHAPES:
        generator = torch.Generator(device).manual_seed(0)
        q, k, v = (
            torch.randn(samples, HEADS, tokens, WIDTH, generator=generator, device=device, dtype=torch.bfloat16)
            for _ in range(3)
        )
        out = attention(q, k, v, backend="triton")
        right = torch.nn.functional.scaled_dot_product_attention(
            *(x[:1, :2].float() for x in (q, k, v)), is_causal=True
        )
        wrong = (out[:1, :2].float() - right).abs().max() > ALLOWED * right.abs().max()
        milliseconds = None if bool(wrong) else graphed(lambda q=q, k=k, v=v: attention(q, k, v, backend="triton"))
        found[f"{tokens} tokens"] = milliseconds
    return found


def compile_only(launch: LongConfig) -> dict[str, float]:
    """What a configuration compiles to, without a GPU."""
    long_configs.LONG[FORWARD] = launch
    binary = build(Case("forward"), 90)
    bodies = [loop.instructions for loop in loops(disassemble(binary.asm["cubin"]))]
    scores = launch.queries * launch.keys / (32 * launch.warps)  # of a thread
    return {**vars(read(binary)), "whole_loop_a_score": round(min(bodies) / scores, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for forward-configs.json")
    parser.add_argument("--compile", action="store_true", help="compile for sm_90 and run nothing")
    options = parser.parse_args()
    rows = []
    for launch in CONFIGS:
        found = compile_only(launch) if options.compile else measure(launch, torch.device("cuda"))
        rows.append({**vars(launch), **found})
        shown = (f"{name} {'no result' if value is None else format(value, '.4g')}" for name, value in rows[-1].items())
        print("  ".join(shown), flush=True)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        whole = {**describe_machine(), "rows": rows}
        (options.out / "forward-configs.json").write_text(json.dumps(whole, indent=1))


if __name__ == "__main__":
    main()
