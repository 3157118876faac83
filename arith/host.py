"""What the Python process and the C library do beside a training, made not to disturb it."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt in glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3


def keep_memory() -> None:
    """Let the C library keep memory that is freed, up to 1 GiB, instead of giving it back to the system.

    On a CPU every step frees what the next one needs, and the system clears each page anew: a tenth of a small model's
    step. Where the C library is not glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(MMAP_THRESHOLD, 2**25)  # the most it takes
    mallopt(TRIM_THRESHOLD, 2**30)
    mallopt(TOP_PAD, 2**26)


@contextmanager
def few_collections() -> Iterator[None]:
    """Within, the garbage collector does not go through what was there before, such as all of torch."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
