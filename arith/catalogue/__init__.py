"""Names to things: the registry, its entries, and the small language in which encodings and formats are written.

May import `encodings`, `tasks`.
"""

from typing import TYPE_CHECKING

from arith.catalogue.entries import ALIASES, DECORATIONS, ENCODINGS, SCHEMES, STUDIES, TASKS, WORKINGS
from arith.catalogue.named import format_named, task_named
from arith.catalogue.registry import Catalogue, import_file
from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.catalogue.build import encoding

# Building an encoding needs torch, which takes seconds to import; names, tasks and formats do not.
__getattr__ = lazy_exports(__name__, {"encoding": "build"})

__all__ = [
    "ALIASES",
    "DECORATIONS",
    "ENCODINGS",
    "SCHEMES",
    "STUDIES",
    "TASKS",
    "WORKINGS",
    "Catalogue",
    "encoding",
    "format_named",
    "import_file",
    "task_named",
]
