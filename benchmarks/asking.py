"""`arith ask` on a sum of tens of thousands of digits, as a user types it: the whole command, imports and all.

Each problem is one process, whose answer is compared with Python's own. CPU seconds say more than the wall's where
others use the cores. Goal: 60,000 digits in 60 s. `--publish` writes results/asking-cost.json. A command line takes
131,071 characters an argument on Linux, which is where 65,535 digits come from.
"""

import json
import random
import subprocess
import sys
import time
from typing import Any

import click

from arith.experiment.provenance import provenance, results_folder

# Python refuses to write out so long numbers unless it is told to.
sys.set_int_max_str_digits(0)
# In a process of its own, whose only child is the command: a maximum over children is then that of one problem.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def measure(digits: int, repeat: int) -> dict[str, Any]:
    draw = random.Random(f"{digits} {repeat}")
    a, b = (draw.randrange(10 ** (digits - 1), 10**digits) for _ in "ab")
    began = time.perf_counter()
    command = [sys.executable, "-c", MEASURED, sys.executable, "-m", "arith", "ask", f"{a}+{b}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    *answered, used = done.stdout.strip().splitlines()
    cpu_seconds, kibibytes = map(float, used.split())
    return {
        "digits": digits,
        "repeat": repeat,
        "right": str(a + b) in " ".join(answered).split(),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_mebibytes": round(kibibytes / 1024, 1),
    }


@click.command()
@click.option("--digits", default=60_000, type=click.IntRange(1, 65_535))
@click.option("--repeats", default=3, type=click.IntRange(1))
@click.option("--publish", is_flag=True)
def main(digits: int, repeats: int, publish: bool) -> None:
    rows = []
    for repeat in range(repeats):
        rows.append(measure(digits, repeat))
        print(" ".join(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
    rows.sort(key=lambda row: row["cpu_seconds"])
    rows = [rows[len(rows) // 2], *(row for n, row in enumerate(rows) if n != len(rows) // 2)]  # the median first
    if publish:
        path = results_folder() / "asking-cost.json"
        path.write_text(json.dumps({"about": provenance(()), "rows": rows}, indent=1) + "\n", encoding="utf-8")
        print(f"published {path}")


if __name__ == "__main__":
    main()
