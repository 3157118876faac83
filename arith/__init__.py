"""arith: say which problem, how its digits are written, and how positions are encoded.

The front door, imported when first used, or `arith --help` would wait for torch:

    arith.task("addition")            what a problem is
    arith.format("reversed+hints")    how its digits are written
    arith.problems("addition", "reversed", digits="1-4")    samples of both, as text or as batches
    arith.encoding("t5@coupled", width=64, heads=4, layers=2)    how positions are encoded
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arith.catalogue.build import encoding
    from arith.catalogue.named import format_named as format  # noqa: A004  it is called so everywhere
    from arith.catalogue.named import task_named as task
    from arith.data.dataset import problems

__version__ = "0.1.0"
__all__ = ["__version__", "encoding", "format", "problems", "task"]

_HOMES = {
    "encoding": ("arith.catalogue.build", "encoding"),
    "format": ("arith.catalogue.named", "format_named"),
    "problems": ("arith.data.dataset", "problems"),
    "task": ("arith.catalogue.named", "task_named"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'arith' has no attribute '{name}'")
    import importlib

    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
