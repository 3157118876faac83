"""A window: keys beyond a distance are hidden.

    visible[q, k] = -left <= k - q <= right,  or one of the ids is 0

On coupled ids with left = right = 1 a digit sees the digits of its own significance and of its two neighbours, at
any length; as long as nothing else is visible, longer numbers cannot dilute the softmax.
Relatives: Hard-ALiBi (Jelassi et al., arXiv 2402.01032), attention bias calibration (Duan and Shi, arXiv 2310.11984).
"""

from arith.encodings.base import Encoding, TableEncoding
from arith.kernels import terms


class Window(TableEncoding, Encoding):
    """Hides what is far. It has no parameters.

    Args:
        left: distance up to which keys of smaller ids are seen.
        right: distance up to which keys of larger ids are seen; matters where ids do not rise with the tokens.

    >>> Window(left=1, right=1)
    Window(left=1, right=1)
    """

    relative = True
    hides_keys = True

    def __init__(self, left: int, right: int = 0) -> None:
        super().__init__()
        if left < 0 or right < 0:
            raise ValueError(f"a window's sides are distances, 0 or more: got left={left}, right={right}")
        self.left, self.right = left, right

    def term(self, ids: terms.Ids) -> terms.Window:
        return terms.Window(self.left, self.right, ids)

    def extra_repr(self) -> str:
        return f"left={self.left}, right={self.right}"
