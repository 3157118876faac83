"""NoPE: no positional encoding. Only the causal mask tells a decoder where it is.

Haviv et al., arXiv 2203.16634; Kazemnejad et al., "The Impact of Positional Encoding on Length
Generalization in Transformers", arXiv 2305.19466.
"""

from arith.encodings.base import Encoding


class NoPE(Encoding):
    """Nothing at all.

    >>> list(NoPE().parameters())
    []
    """

    relative = True
    takes_ids = False
