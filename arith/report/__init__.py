"""One page of HTML for a run or a results file, which needs nothing else to be read.

May import `process`, `results`, `figures`.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.report.page import render_page

__getattr__ = lazy_exports(__name__, {"render_page": "page"})

__all__ = ["render_page"]
