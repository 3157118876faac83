"""Summed loops in one pass beside loop by loop: a training step on one thread, and the difference in its numbers.

    python benchmarks/summed_loops.py [--digits 5,10,15] [--repeats 9]

Three ways to the sums of all loops: attention by scores that begin sharp (`sliding-lanes`), loop by loop; attention
that ids decide (`sliding-lookup`), loop by loop; and the same once for each set of tokens that meets. Prints the median
step, each ratio to the last way, and the largest difference of the loss and of the gradients between the last two.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

from arith.config.schema import RunConfig
from arith.data.batch import Batch
from arith.experiment.experiment import Experiment
from arith.model.cache import Cache
from arith.model.loss import count_learned_tokens, inputs_of, sum_nats
from arith.model.transformer import Transformer
from arith.training.environment import keep_freed_memory

WAYS = ("scores, loop by loop", "lookup, loop by loop", "lookup, one pass")


def prepare(digits: int, encoding: str, rows: int) -> tuple[Transformer, Batch]:
    """The model of the recipe `multiplication-fifteen`, with as many loops as digits."""
    config = RunConfig.of(
        {
            "task": "multiplication",
            "format": f"padded-all-reversed:width={digits}",
            "encoding": encoding,
            "data": {"digits": [1, digits]},
            "evaluation": {"digits": [digits]},
            "model": {
                "layers": 4,
                "loops": digits,
                "looped": 1,
                "loop_input": "embeddings",
                "prompt_layers": 1,
                "activation": "gated-sine",
                "width": 64,
                "heads": 4,
                "hidden": 128,
            },
        }
    )
    experiment = Experiment.of(config)
    return experiment.model(), experiment.training_data().batch(0, rows)


def loss_of(model: Transformer, batch: Batch, one_pass: bool) -> Tensor:
    """The loss of training; loop by loop with a cache, as in decoding."""
    tokens, ids = inputs_of(batch, model.encoding)
    cache = None if one_pass else Cache()
    logits = model(tokens, ids, queries=batch.queries, picked=batch.picked, cache=cache)
    return sum_nats(logits, batch) / count_learned_tokens(batch)


def step(model: Transformer, batch: Batch, one_pass: bool) -> tuple[float, list[Tensor]]:
    """Seconds of a forward and backward pass; the loss and the gradients."""
    model.zero_grad()
    began = time.perf_counter()
    loss = loss_of(model, batch, one_pass)
    loss.backward()  # type: ignore[no-untyped-call]
    seconds = time.perf_counter() - began
    return seconds, [loss.detach(), *(own.grad for own in model.parameters() if own.grad is not None)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", default="5,10,15", help="digits of the longest factor")
    parser.add_argument("--rows", type=int, default=32, help="problems a step")
    parser.add_argument("--repeats", type=int, default=9, help="timed steps, of which the median is taken")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"{'digits':>6}  {'way':22} {'ms a step':>10} {'ratio':>6}")
    for digits in map(int, options.digits.split(",")):
        scores, lookup = (prepare(digits, f"sliding-{name}", options.rows) for name in ("lanes", "lookup"))
        ways = ((scores, False), (lookup, False), (lookup, True))
        found = [[step(*parts, one_pass) for parts, one_pass in ways] for _ in range(1 + options.repeats)]
        # One after the other in each round, so that what slows the machine down slows all of them.
        times = [statistics.median(rounds[way][0] for rounds in found[1:]) for way in range(len(ways))]
        for name, seconds in zip(WAYS, times, strict=True):
            print(f"{digits:6}  {name:22} {1000 * seconds:10.1f} {seconds / times[-1]:6.1f}")
        pairs = list(zip(found[-1][1][1], found[-1][2][1], strict=True))
        loss = (pairs[0][0] - pairs[0][1]).abs().item()
        gradient = max(((one - other).norm() / one.norm()).item() for one, other in pairs[1:])
        print(f"{digits:6}  loss differs by {loss:.1e}, a gradient by {gradient:.1e} of its length at most")


if __name__ == "__main__":
    main()
