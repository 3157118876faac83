"""A process among others on the same cores: threads that give way, and how long it has waited for one."""

import os
from pathlib import Path

# How often an idle thread of GNU OpenMP, which torch brings along on Linux, looks for work before it sleeps. Its own
# 300,000 keep a core busy for a millisecond, which another process, or another thread of this one, could have used.
# Beside processes that do the same, such as tests and other trainings, steps of the demo then took up to 40 times
# their quiet time, and 3 times with 2,000. A quiet machine loses nothing. Threads that never look
# (OMP_WAIT_POLICY=passive) cost a quiet one half its speed: steps of small models wake them thousands of times a
# second. Fewer threads would be best on shared cores, but a run's last bits depend on their number. Measured by
# benchmarks/shared_cores.py; docs/labbook.md has the numbers, also where 2,000 is not the better choice.
SPINS = 2_000
SCHEDSTAT = Path("/proc/self/schedstat")


def yield_idle_cores() -> None:
    """Let idle threads of torch sleep soon, unless the user has said how they wait. To be called before torch loads."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


class CoreWait:
    """How much of its time the main thread has waited for a core since this was made.

    >>> 0 <= CoreWait().share() <= 1
    True
    """

    def __init__(self) -> None:
        self._ran, self._waited = _read()

    def share(self) -> float:
        """The waiting time as a share of running and waiting; 0 where the system does not say."""
        ran, waited = _read()
        wanted = ran - self._ran + waited - self._waited
        return (waited - self._waited) / wanted if wanted > 0 else 0.0


def _read() -> tuple[int, int]:
    """Nanoseconds on a core, and nanoseconds ready to run without one. Linux alone counts them."""
    try:
        ran, waited, _ = SCHEDSTAT.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return 0, 0
    return int(ran), int(waited)
