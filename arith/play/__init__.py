"""A page on this machine that takes one problem through a trained model, step by step.

May import `evaluation` and the rooms below it; never `training`.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.play.server import PlayServer
    from arith.play.session import Session

__getattr__ = lazy_exports(__name__, {"PlayServer": "server", "Session": "session"})

__all__ = ["PlayServer", "Session"]
