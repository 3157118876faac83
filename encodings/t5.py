"""T5 bias: a learned score for each bucket of distances, exact when near and logarithmic when far.

    bucket(D) = D                                                      D < e = buckets / 2
              = e + floor(log(D / e) / log(farthest / e) * (buckets - e))   then at most buckets - 1

D = q - k, the distance back; a key that lies ahead is in bucket 0. Bidirectional, the buckets are halved: keys
behind use the first half, keys ahead the second. The score is table[h, bucket(D)], and unplaced[h] where one id is 0.
All layers share both.
Raffel et al., arXiv 1910.10683, section 2.1, with the usual division of scores by sqrt(d), which T5 leaves out.
"""

import math

import torch
from jaxtyping import Int
from torch import Tensor, nn

from arith.encodings.base import Encoding, TableEncoding
from arith.kernels.terms import DistanceTable, Ids


class T5(TableEncoding, Encoding):
    """A learned bias by bucketed distance.

    Args:
        heads: attention heads.
        buckets: rows of the table.
        farthest: distances from here on share the last bucket.
        bidirectional: tell keys ahead from keys behind; wanted on ids that do not rise with the tokens.

    >>> T5(heads=1, buckets=8, farthest=16).bucket(torch.tensor([0, -1, -3, -4, -9, -99, 5])).tolist()
    [0, 1, 3, 4, 6, 7, 0]
    """

    relative = True
    slots: Int[Tensor, " 2r+1"]

    def __init__(self, heads: int, buckets: int = 32, farthest: int = 128, bidirectional: bool = False) -> None:
        super().__init__()
        if bidirectional and buckets % 2:
            raise ValueError(f"t5 halves its buckets between keys behind and ahead: an even number, got {buckets}")
        each_way = buckets // 2 if bidirectional else buckets
        if each_way < 2 or farthest <= each_way // 2:
            ways = "4 buckets or more, half of them each way" if bidirectional else "2 buckets or more"
            raise ValueError(
                f"t5 needs {ways}, and farthest beyond the {each_way // 2} distances that have a bucket of their own: "
                f"got buckets={buckets}, farthest={farthest}"
            )
        self.buckets, self.farthest, self.bidirectional = each_way, farthest, bidirectional
        distance = torch.arange(-farthest, farthest + 1)
        # Up to `farthest` each way: keys beyond are in the last bucket, as the ends of this table are.
        self.register_buffer("slots", self.bucket(distance), persistent=False)
        self.table = nn.Parameter(torch.zeros(heads, buckets))
        self.unplaced = nn.Parameter(torch.zeros(heads, 1))

    def bucket(self, distance: Int[Tensor, " r"]) -> Int[Tensor, " r"]:
        """The bucket of each distance k - q."""
        back = distance.abs() if self.bidirectional else (-distance).clamp(min=0)
        exact = self.buckets // 2
        # In double precision: at the border of two buckets a rounded quotient of logarithms may fall into the lower
        # one.
        growth = torch.log(back.clamp(min=1).double() / exact) / math.log(self.farthest / exact)
        far = (exact + (growth * (self.buckets - exact)).floor().long()).clamp(max=self.buckets - 1)
        bucket = torch.where(back < exact, back, far)
        return bucket + self.buckets * (distance > 0) if self.bidirectional else bucket

    def term(self, ids: Ids) -> DistanceTable:
        return DistanceTable(torch.cat([self.table.index_select(1, self.slots), self.unplaced], dim=1), ids)
