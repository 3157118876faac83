"""Parameters that several parts of a model share: `model.tie`.

A part that borrows holds none of its own, so that each number is trained, counted and saved once.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from arith.model.embedding import Tokens
from arith.model.norm import RMSNorm


class SharedNorm(nn.Module):
    """A norm with the weights of another one."""

    def __init__(self, owner: RMSNorm) -> None:
        super().__init__()
        self._owner = (owner,)  # in a tuple, as torch would register a module and save its weights once more

    def forward(self, x: Float[Tensor, "... w"]) -> Float[Tensor, "... w"]:
        found: Tensor = self._owner[0](x)
        return found


class TokenHead(nn.Module):
    """Logits as products with the tokens' embeddings. Press & Wolf, arXiv 1608.05859."""

    def __init__(self, owner: Tokens) -> None:
        super().__init__()
        self._owner = (owner,)

    def forward(self, x: Float[Tensor, "... w"]) -> Float[Tensor, "... v"]:
        return functional.linear(x, self._owner[0].weight)


def share_norms(blocks: nn.ModuleList, owner: RMSNorm) -> None:
    """Put one norm's weights in the place of all norms in blocks."""
    for block in blocks:
        for name, part in list(block.named_children()):
            if isinstance(part, RMSNorm):
                setattr(block, name, SharedNorm(owner))
