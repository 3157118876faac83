"""Problems a second on one core: arith's token arrays with loss mask beside reasoning-gym's strings and a plain loop.

Goals: 1,000,000 additions of 20 digits and 150,000 products of 15 digits a second; 10 times reasoning-gym on the same
problems; 100,000 lines of dialogue a second; a product of two 1,000-digit numbers within 50 ms in a batch of 16.
"""

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from arith.catalogue.named import format_named
from arith.tasks.addition import Addition
from arith.tasks.base import Task
from arith.tasks.dialogue import Dialogue
from arith.tasks.mixture import Mixture
from arith.tasks.multiplication import Multiplication
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

REPEATS, BATCH = 9, 4096


def ours(task: Task, digits: int, form: str = "padded-reversed") -> Callable[[int], int]:
    """Tokens, padded, and the mask of the answer's tokens."""
    problems = Mixture([Source(task, Uniform(digits, digits), seed=0, split="train")])

    def run(repeat: int) -> int:
        for batch in range(8):
            written = problems.write(format_named(form), (8 * repeat + batch) * BATCH, BATCH)
            assert written.loss_mask.any()
        return 8 * BATCH

    return run


def plain_loop(symbol: str, digits: int) -> Callable[[int], int]:
    """What papers ship: Python integers and strings, one problem at a time."""

    def run(repeat: int) -> int:
        draw = random.Random(repeat)
        low, high = 10 ** (digits - 1), 10**digits - 1
        for _ in range(BATCH):
            a, b = draw.randint(low, high), draw.randint(low, high)
            answer = a + b if symbol == "+" else a * b
            assert f"{a}{symbol}{b}={str(answer)[::-1]}"
        return BATCH

    return run


def reasoning_gym(name: str, digits: int) -> Callable[[int], int] | None:
    """Question and answer strings of reasoning-gym, if it is installed: pip install '.[bench]'."""
    try:
        from reasoning_gym import create_dataset
    except ImportError:
        return None
    numbers = {"min_terms": 2, "max_terms": 2, "min_digits": digits, "max_digits": digits}
    dataset: Any = create_dataset(name, **numbers, seed=1, size=REPEATS * BATCH)

    def run(repeat: int) -> int:
        for index in range(repeat * BATCH, (repeat + 1) * BATCH):
            assert dataset[index]
        return BATCH

    return run


def rates(run: Callable[[int], int]) -> list[float]:
    """Problems a second in each of the repeats, after one to warm up."""
    run(0)
    found = []
    for repeat in range(REPEATS):
        began = time.perf_counter()
        count = run(repeat)
        found.append(count / (time.perf_counter() - began))
    return sorted(found)


def compare(title: str, runs: dict[str, Callable[[int], int] | None]) -> None:
    print(f"\n{title}, one core, batches of {BATCH}, problems/s, median of {REPEATS} [min, max]")
    medians = {}
    for name, run in runs.items():
        if run is None:
            print(f"{name:32} not installed")
            continue
        found = rates(run)
        medians[name] = statistics.median(found)
        print(f"{name:32} {medians[name]:>10,.0f} [{found[0]:,.0f}, {found[-1]:,.0f}]")
    mine, *others = medians
    for other in others:
        print(f"ratio to {other:23} {medians[mine] / medians[other]:>10.1f}")


def long_products() -> None:
    source, task = Source(Multiplication(), Uniform(1000, 1000), seed=0, split="train"), Multiplication()
    a, b = source.operands(0, 16)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        task.solve(a, b)
        times.append((time.perf_counter() - began) / 16 * 1000)
    spread = f"[{min(times):.2f}, {max(times):.2f}]"
    print(f"\n1,000 x 1,000 digits, batch of 16: {statistics.median(times):.2f} ms each {spread}")


def main() -> None:
    additions = {
        "arith, token arrays and mask": ours(Addition(), 20),
        "reasoning-gym, prompt strings": reasoning_gym("chain_sum", 20),
        "plain Python loop, strings": plain_loop("+", 20),
    }
    compare("additions of 20 digits", additions)
    products = {
        "arith, token arrays and mask": ours(Multiplication(), 15),
        "reasoning-gym, prompt strings": reasoning_gym("products", 15),
        "plain Python loop, strings": plain_loop("*", 15),
    }
    compare("products of 15 x 15 digits", products)
    others = {
        "dialogue, 5 digits": ours(Dialogue(), 5, "plain"),
        "dialogue, digits spaced": ours(Dialogue(), 5, "plain+groups:size=1"),
        "dialogue, random spaces": ours(Dialogue(), 5, "plain+spaces"),
        "additions of 20 digits, hints": ours(Addition(), 20, "padded-reversed+hints"),
        "the same, random spaces": ours(Addition(), 20, "padded-reversed+spaces"),
        "the same, scratchpad": ours(Addition(), 20, "padded-reversed+scratchpad"),
        "the same, recursive scratchpad": ours(Addition(), 20, "padded-reversed+recursive"),
        "15 x 15, partial products": ours(Multiplication(), 15, "padded-reversed+partial-products"),
    }
    for name, run in others.items():
        compare(name, {"arith, token arrays and mask": run})
    long_products()


if __name__ == "__main__":
    main()
