"""An encoding that acts in some layers alone, as in models that rotate in three layers of four.

Llama 4 and SmolLM3 leave rotations out of every fourth layer, so that those attend by content alone: `rope[0-2,4-6]`.
"""

from collections.abc import Sequence

from arith.encodings.base import Encoding, LayerEncoding


class InLayers(Encoding):
    """An encoding in some layers of a model; the others do without.

    Args:
        encoding: made for as many layers as it acts in.
        layers: their numbers, from 0 on.

    Raises:
        ValueError: the encoding acts at the input, which no layer has for itself, or in place of the first layer.

    >>> from arith.encodings.t5 import T5
    >>> hybrid = InLayers(T5(heads=2), [0, 2])
    >>> [type(hybrid.at(layer)).__name__ for layer in range(3)]
    ['T5', 'LayerEncoding', 'T5']
    """

    def __init__(self, encoding: Encoding, layers: Sequence[int]) -> None:
        super().__init__()
        if type(encoding).embed is not Encoding.embed or encoding.looks_up:
            where = "in place of the first layer" if encoding.looks_up else "once, at the input"
            raise ValueError(f"{encoding.title} acts {where}, and is in no layer: leave the brackets out")
        # What others ask an encoding about itself.
        for name in Encoding.__annotations__:
            setattr(self, name, getattr(encoding, name))
        self.encoding = encoding
        self.in_layers = tuple(layers)
        self.nothing = LayerEncoding()

    @property
    def title(self) -> str:
        return self.encoding.title

    def at(self, layer: int, loop: int = 0) -> LayerEncoding:
        assert self.in_layers is not None
        return self.encoding.at(self.in_layers.index(layer), loop) if layer in self.in_layers else self.nothing
