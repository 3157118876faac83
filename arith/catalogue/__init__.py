"""From a name to a thing: the registry, what it lists, and the small language of encodings and formats.

May import `encodings`, `tasks`.
"""

from typing import TYPE_CHECKING

from arith.catalogue.entries import ALIASES, DECORATIONS, ENCODINGS, SCHEMES, TASKS, WORKINGS
from arith.catalogue.named import format_named, task_named
from arith.catalogue.registry import Catalogue, import_file
from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.catalogue.build import encoding

__getattr__ = lazy_exports(__name__, {"encoding": "build"})

__all__ = [
    "ALIASES",
    "DECORATIONS",
    "ENCODINGS",
    "SCHEMES",
    "TASKS",
    "WORKINGS",
    "Catalogue",
    "encoding",
    "format_named",
    "import_file",
    "task_named",
]
