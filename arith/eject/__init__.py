"""An encoding written out as one file of plain torch.

How the file comes about, `file.eject`:

1. `sources` reads our modules as pieces: top-level statements, each with the names it defines and those it looks up.
2. `bundle` begins at attention, the encoding and its scheme, and collects every piece that these refer to, however
   indirectly. It does so twice: the first time shows which terms of attention the encoding makes at all.
3. `cuts` says what is left out of a piece: the line that registers it, imports of ours, branches for the other terms,
   and without kernels the choice of a backend.
4. `bundle` writes each piece with its cuts made, names that two modules share told apart, and calls of einops replaced
   by torch's own (`einops_to_torch`).
5. `file` puts a header, imports, a factory with the settings written out and a demonstration around it, and drops
   examples of docstrings that need what the file does not have.

Code is never printed from a syntax tree, which would lose comments and line breaks. Every change is an edit: bytes of
the original text, found by the positions in its tree, and what takes their place.

May import `process`, `catalogue`, and the three folders.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.eject.file import ejected

__getattr__ = lazy_exports(__name__, {"ejected": "file"})

__all__ = ["ejected"]
