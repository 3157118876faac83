"""Replies of a local model to solved problems and one to solve: as `arith evaluate --hf` asks, and as plain batches.

    python benchmarks/hf_replies.py --hf FOLDER [--shots 4] [--digits 1-3] [--samples 24] [--repeats 3]

Plain batches read the solved problems with every prompt and decode each row to the longest answer. Ours reads them once
and stops at the end of the line. Prints the median CPU seconds of each, their ratio, and how many replies differ. It
needs a model of yours, and without one it says so.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from arith.config.reading import digit_range
from arith.evaluation.text.prompts import TextTest
from arith.evaluation.text.reply import first_line
from arith.hf.generation import TextModel
from arith.results.schema import Condition


@torch.no_grad()
def plain_replies(text: TextModel, prompts: Sequence[str], new_tokens: int, at_once: int) -> list[str]:
    """What `generate` gives by itself: each prompt read whole, each row decoded until its batch is done."""
    replies = []
    for start in range(0, len(prompts), at_once):
        inputs = text.tokenizer(list(prompts[start : start + at_once]), return_tensors="pt", padding=True)
        written = text.model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=new_tokens
        )
        new = written[:, inputs["input_ids"].shape[1] :]
        replies += [first_line(one) for one in text.tokenizer.batch_decode(new, skip_special_tokens=True)]
    return replies


def seconds_of(ask: Callable[[], list[str]], repeats: int) -> tuple[float, list[str]]:
    """The median of CPU seconds, which other work on the machine leaves alone, and the replies."""
    times, replies = [], []
    for _ in range(repeats):
        began = time.process_time()
        replies = ask()
        times.append(time.process_time() - began)
    return statistics.median(times), replies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hf", type=Path)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--digits", default="1-3")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    if options.hf is None:
        print("skipped: give a folder with a causal model, --hf FOLDER")
        return
    text = TextModel.load(options.hf, torch.device("cpu"))
    low, high = digit_range(options.digits)
    test = TextTest("addition", "plain", seed=2311, shots=options.shots)
    totals, differing, count = [0.0, 0.0], 0, 0
    for digits in range(low, high + 1):
        asked = test.problems(Condition("random", digits, options.samples))
        prompts = [str(prompt) for prompt in asked.prompts]
        new, at_once = asked.reply_tokens, options.batch
        plain = seconds_of(lambda: plain_replies(text, prompts, new, at_once), options.repeats)  # noqa: B023
        ours = seconds_of(
            lambda: [reply.text for reply in text.replies(prompts, new, at_once)],  # noqa: B023
            options.repeats,
        )
        differing += sum(one != other for one, other in zip(plain[1], ours[1], strict=True))
        count += len(prompts)
        totals = [totals[0] + plain[0], totals[1] + ours[0]]
        print(f"{digits} digits: plain {plain[0]:.2f} s, ours {ours[0]:.2f} s, {plain[0] / ours[0]:.2f} times as fast")
    print(f"together {totals[0] / totals[1]:.2f} times as fast at {options.shots} shots; {differing} of {count} differ")


if __name__ == "__main__":
    main()
