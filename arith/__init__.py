"""arith: say which problem, how its digits are written, and how positions are encoded.

The front door. Each name is imported when it is first used, or `arith --help` would wait for torch.

>>> import arith
>>> arith.format("padded-reversed").text(arith.task("addition"), 12, 345)
'012+345=7530'
>>> additions = arith.problems("addition", "reversed", digits="1-4", seed=0)
>>> additions.texts(0, 2)
[('1+953=', '459'), ('4+7155=', '9517')]
>>> batch = additions.batch(0, 8)
>>> encoding = arith.encoding("t5@coupled", width=64, heads=4, layers=2, tokens=additions.longest)
>>> [tuple(ids.shape) for ids in batch.placed_by(encoding)]  # of each scheme: levels, batch, tokens
[(1, 8, 13)]
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.catalogue.build import encoding
    from arith.catalogue.named import format_named as format  # noqa: A004  it is called so everywhere
    from arith.catalogue.named import task_named as task
    from arith.data.dataset import problems
    from arith.encodings.base import Positions
    from arith.kernels.attention import attention

__version__ = "0.2.0"
__all__ = ["Positions", "__version__", "attention", "encoding", "format", "problems", "task"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Positions": "encodings.base",
        "attention": "kernels.attention",
        "encoding": "catalogue.build",
        "format": "catalogue.named:format_named",
        "problems": "data.dataset",
        "task": "catalogue.named:task_named",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
