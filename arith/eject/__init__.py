"""An encoding written out as one file of plain torch, with nothing in it that it does not use.

How the file comes about, `file.eject`:

1. `sources` reads our modules as pieces: top-level statements, each with the names it defines and those it looks up.
2. `bundle` begins at the encoding, its scheme and attention, and collects every piece that these refer to, however
   indirectly. Names that two modules share are told apart, and calls of einops are torch's own (`einops_to_torch`).
3. `front` writes the class that stands first: how ids come about, and a method for each place where the encoding acts.
4. Files without kernels have the attention of `plain`, and `trim` leaves out what the class does not need: methods,
   terms, base classes, checks of settings, lists of arguments. With kernels only examples are left out.
5. `file` puts a header, imports and a `demonstration` around it.

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
