"""How long a user waits for help: `arith --help` and `arith list` against a bare Python. Goal: half a second."""

import statistics
import subprocess
import sys
import time

RUNS = 9
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "python -c 'import torch'": [sys.executable, "-c", "import torch"],
    "arith --help": [sys.executable, "-m", "arith", "--help"],
    "arith list": [sys.executable, "-m", "arith", "list"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    print(f"seconds to start, median of {RUNS} [min, max], file caches warm")
    medians = {}
    for name, command in COMMANDS.items():
        seconds(command)
        times = [seconds(command) for _ in range(RUNS)]
        medians[name] = statistics.median(times)
        print(f"{name:26} {medians[name]:.3f} [{min(times):.3f}, {max(times):.3f}]")
    print(f"ratio of importing torch to arith --help: {medians[list(COMMANDS)[1]] / medians['arith --help']:.1f}")


if __name__ == "__main__":
    main()
