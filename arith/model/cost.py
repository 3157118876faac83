"""FLOPs of the model's matrix products, counted from its shapes: a multiplication and an addition count one each.

A product of an a x b matrix with a b x c matrix takes 2abc. Over a whole sequence of n tokens a layer does

    2 n w (w + 2 k + w)      queries, keys, values, output; k: width of all key heads
    2 n w h m                the MLP of hidden width h; m: 2 matrices, 3 if it is gated
    2 * 2 n n w              queries by keys, weights by values; hidden pairs are computed too

and the head 2 n w v for v tokens of vocabulary. In the last layer only q of the tokens look at others, and what follows
is computed for those alone whose answers may be asked for. A backward pass takes twice the forward pass: a product each
for the gradient of the input and of the weights. Norms, activations, softmax and the optimiser are no products and do
not count, nor does what an encoding multiplies itself (FIRE's function of distance, projected keys of Transformer-XL
and such).
"""

from arith.config.schema import ModelConfig

STATE_BYTES = 16  # a parameter: weight, gradient and two moments, in float32 in every precision
UPDATE_BYTES = 32  # a parameter and step: AdamW reads those four and writes three; backward has written the gradient
# Of a kept number on average: autocast leaves norms and residuals in float32, what is multiplied is in bfloat16.
KEPT_BYTES = {"float32": 4, "tf32": 4, "bfloat16": 3}
USES = 3  # of what is kept for the backward pass: written and read forward, read backward


PASSES = 3  # of the forward pass, that a training step takes: one forward, two backward


def forward_flops(
    model: ModelConfig, vocabulary: int, tokens: int, queries: int | None = None, asked: int | None = None
) -> int:
    """FLOPs of one sequence.

    Args:
        tokens: that go in.
        queries: of the last tokens, those that look at others in the last layer; all, if None.
        asked: of those, what logits are computed for; all, if None.

    >>> forward_flops(ModelConfig(layers=1, width=64, heads=4, hidden=256), vocabulary=20, tokens=10)
    1361920
    """
    queries = tokens if queries is None else queries
    asked = queries if asked is None else asked
    whole = (model.depth - 1) * _layer(model, tokens, tokens, tokens)
    return whole + _layer(model, tokens, queries, asked) + 2 * asked * model.width * vocabulary


def _layer(model: ModelConfig, tokens: int, queries: int, asked: int) -> int:
    width, keys = model.width, model.width * (model.key_heads or model.heads) // model.heads
    projections = 2 * (queries + asked) * width * width + 2 * tokens * width * 2 * keys
    attention = 2 * 2 * queries * tokens * width
    return projections + attention + 2 * asked * width * model.hidden * model.matrices


def training_flops(
    model: ModelConfig,
    vocabulary: int,
    rows: int,
    tokens: int,
    queries: int | None = None,
    asked: int | None = None,
) -> int:
    """FLOPs of one training step on so many sequences.

    >>> config = ModelConfig(layers=1, width=64, heads=4, hidden=256)
    >>> training_flops(config, 20, rows=2, tokens=10) == 2 * 3 * forward_flops(config, 20, 10)
    True
    """
    return PASSES * rows * forward_flops(model, vocabulary, tokens, queries, asked)


def palm_flops(model: ModelConfig, parameters: int, tokens: int) -> int:
    """FLOPs a trained token as model FLOPs utilisation counts them: 6 N + 12 L w n.

    N parameters, L layers, width w, n tokens in a sequence (Chowdhery et al., arXiv 2204.02311, appendix B). The
    convention counts embeddings as if they were products, and every token as if its answer were asked for.

    >>> palm_flops(ModelConfig(layers=12, width=768, heads=12), 85_000_000, tokens=64)
    517077888
    """
    return 6 * parameters * model.depth // model.layers + 12 * model.depth * model.width * tokens


def activation_bytes(model: ModelConfig, precision: str, rows: int, tokens: int) -> int:
    """What a forward pass keeps for the backward pass.

    Of each token and layer about 10 vectors of the model's width, the MLP's inner vectors, and three times its
    attention scores, one for each head and token: a rough guide, which fused attention goes below.
    """
    inner = model.matrices * model.hidden
    each = 10 * model.width + inner + 3 * model.heads * tokens
    return KEPT_BYTES[precision] * rows * tokens * model.depth * each


def moved_bytes(model: ModelConfig, precision: str, parameters: int, rows: int, tokens: int) -> int:
    """What a training step moves between memory and processor if nothing but products is fused: a rough guide."""
    return USES * activation_bytes(model, precision, rows, tokens) + UPDATE_BYTES * parameters


def training_bytes(model: ModelConfig, precision: str, parameters: int, rows: int, tokens: int) -> int:
    """What training needs at most: the state of every parameter, and what a forward pass keeps."""
    return STATE_BYTES * parameters + activation_bytes(model, precision, rows, tokens)
