"""FIRE: a learned function of the distance, interpolated between 0 and the query's own position.

    bias[h, q, k] = f[h](psi(|q - k|) / psi(max(L, q)))        psi(x) = log(c x + 1)

f is an MLP with one hidden layer from one number to one for each head; c and L are learned. The longer the sequence,
the more finely psi(q) divides: beyond L, distances are told relative to how far there is to look back.
Li et al., "Functional Interpolation for Relative Positions", arXiv 2310.04418. There keys are behind the query; on ids
that do not rise with the tokens, a key ahead counts by its distance too, and the fraction can exceed 1.
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from arith.encodings.base import SHARED, Encoding, LayerEncoding, Memory, Positions
from arith.encodings.biases import exact
from arith.kernels.terms import Ids, PairTable, ScoreMod

TABLE = f"{SHARED}table"  # of every pair of ids, kept while decoding


class FIRE(Encoding):
    """A learned function of interpolated distance. Pairs of which one id is 0 get a bias of 0.

    A layer takes memory for (hidden + heads) * p numbers. p are the pairs of tokens of one sample where all of a batch
    share their ids, as sequential ones; where they do not, those of all samples, or highest^2 if these are fewer.

    Args:
        heads: attention heads.
        layers: of the model.
        highest: the largest id.
        hidden: units of the MLP.
        compression: c at the start; the larger, the finer are short distances told apart compared with long ones.
        threshold: L at the start; up to it, a distance means the same at every position.
        shared: all layers have the same function (the paper's FIRE-S).

    >>> sum(parameter.numel() for parameter in FIRE(heads=4, layers=2, highest=10).parameters())
    396
    """

    by_distance = True

    def __init__(
        self,
        heads: int,
        layers: int,
        highest: int,
        hidden: int = 32,
        compression: float = 0.1,
        threshold: float = 512.0,
        shared: bool = False,
    ) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"fire's MLP has 1 hidden unit or more, got {hidden}")
        if not (compression > 0 and threshold > 0):
            raise ValueError(
                f"fire's compression and threshold are above 0: got compression={compression}, threshold={threshold}"
            )
        self.reach, self.layers, self.shared = highest, layers, shared
        # The defaults of hidden, compression and threshold are those of the listing in the paper.
        self.functions = nn.ModuleList(
            FIRELayer(heads, highest, hidden, compression, threshold) for _ in range(1 if shared else layers)
        )

    def at(self, layer: int, loop: int = 0) -> LayerEncoding:
        if not 0 <= layer < self.layers:
            raise IndexError(f"FIRE is made for layers 0 to {self.layers - 1}, got {layer}")
        own = self.functions[0 if self.shared else layer]
        assert isinstance(own, FIRELayer)
        return own


class FIRELayer(LayerEncoding):
    """The function of one layer, or of all."""

    def __init__(self, heads: int, highest: int, hidden: int, compression: float, threshold: float) -> None:
        super().__init__()
        self.highest, self.first_compression, self.first_threshold = highest, compression, threshold
        self.function = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, heads))
        # Factors to what they started with, as logarithms: they stay positive.
        self.log_compression = nn.Parameter(torch.zeros(()))
        self.log_threshold = nn.Parameter(torch.zeros(()))

    @property
    def compression(self) -> Float[Tensor, ""]:
        return self.first_compression * self.log_compression.exp()

    @property
    def threshold(self) -> Float[Tensor, ""]:
        return self.first_threshold * self.log_threshold.exp()

    def table(self, ids: Int[Tensor, " p"]) -> Float[Tensor, "h p p"]:
        """The bias of each pair of these ids."""
        # Autocast would run the MLP in half precision, where neighbouring distances give the same fraction.
        with torch.autocast(ids.device.type, enabled=False):
            return self._bias(ids[:, None], ids[None])

    def _bias(self, q: Int[Tensor, "*b q 1"], k: Int[Tensor, "*b 1 k"]) -> Float[Tensor, "h *b q k"]:
        # In bfloat16 the ids 256 and 257 are one.
        threshold = exact(self.threshold)
        distance = (q - k).abs().to(threshold.dtype)
        # Nearer to the start than the threshold, all positions divide by the same: a distance then means the same at
        # each.
        look_back = torch.maximum(q.to(threshold.dtype), threshold)
        fraction = (exact(self.compression) * distance).log1p() / (exact(self.compression) * look_back).log1p()
        bias: Tensor = self.function(fraction[..., None].to(self.log_threshold.dtype)).movedim(-1, 0)
        return bias * ((q != 0) & (k != 0))

    def _add(self, ids: Ids, scores: Float[Tensor, "b h q k"]) -> Float[Tensor, "b h q k"]:
        with torch.autocast(scores.device.type, enabled=False):
            bias = self._bias(ids.q[:, :, None], ids.k[:, None])
        return scores + bias.movedim(0, 1).to(scores.dtype)

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Positions,
        memory: Memory,
    ) -> tuple[PairTable | ScoreMod]:
        ids = positions.ids
        # Three ways to the same scores: a table of the tokens' own pairs where a batch shares ids; each pair by itself
        # where they are fewer than all pairs of ids; else a table of all ids, which decoding keeps.
        if ids.k.shape[0] == 1:
            return (PairTable(self.table(ids.k[0])),)
        if TABLE not in memory and ids.q.numel() * ids.k.shape[1] < self.highest**2:
            return (ScoreMod(partial(self._add, ids)),)
        if TABLE not in memory:
            memory[TABLE] = self.table(torch.arange(1, self.highest + 1, device=ids.k.device))
        return (PairTable(memory[TABLE], ids),)

    def extra_repr(self) -> str:
        return f"highest={self.highest}"
