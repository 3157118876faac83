"""arith: say which problem, how its digits are written, and how positions are encoded."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arith.catalogue.build import encoding

__version__ = "0.1.0"
__all__ = ["__version__", "encoding"]


def __getattr__(name: str) -> Any:
    # Lazy, or `arith --help` would wait for torch.
    if name == "encoding":
        from arith.catalogue.build import encoding

        return encoding
    raise AttributeError(f"module 'arith' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
