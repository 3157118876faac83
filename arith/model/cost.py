"""FLOPs of the model's matrix products, counted from its shapes: a multiplication and an addition count one each.

A product of an a x b matrix with a b x c matrix takes 2abc. Over a whole sequence of n tokens a layer does

    2 n w (w + 2 k + w)      queries, keys, values, output; k: width of all key heads
    2 n w h m                the MLP of hidden width h; m: 2 matrices, 3 if it is gated
    2 * 2 n n w              queries by keys, weights by values; hidden pairs are computed too

and the head 2 n w v for v tokens of vocabulary. In the last layer only q of the tokens attend, and what follows is
computed for the answer's tokens alone. A backward pass costs twice the forward pass: one product for the gradient of
the input, one for that of the weights. Norms, activations, softmax and the optimiser are not products and do not count,
nor do the products inside an encoding (FIRE's function of distance, Transformer-XL's projected keys). Convolutions of t
taps (`model.mixing=conv`) do: 2 n t (w + 2 k).

A first layer in which positions decide which tokens are taken (`arith.model.lookup`) has one map in place of four:

    2 w s w                  for s tokens that are taken; and the MLP as above

In loops that are summed it is computed once for each set of tokens that meets in a batch.
"""

from dataclasses import replace

from arith.config.schema import TAPS, ModelConfig, TrainingConfig

NUMBER_BYTES = 4  # of a weight, its gradient and each moment: float32 in every precision
# Per activation kept, on average: autocast leaves norms and residuals in float32, and multiplies in bfloat16.
KEPT_BYTES = {"float32": 4, "tf32": 4, "bfloat16": 3}
# Tokens that meet tokens in numbers: the ten digits, and the sign that stands before a number or where none is.
MEETING_TOKENS = 11
PASSES = 3  # a training step costs three forward passes: one forward, and a backward pass worth two


def forward_flops(
    model: ModelConfig,
    vocabulary: int,
    tokens: int,
    queries: int | None = None,
    logits: int | None = None,
    *,
    rows: int = 1,
    lanes: int = 0,
) -> int:
    """FLOPs of a forward pass on one sequence.

    Args:
        model: the model's shape; of a range of loops, it has the most.
        vocabulary: the number of tokens that the head tells apart.
        tokens: the number of input tokens.
        queries: how many of the last tokens attend in the last layer; all if None.
        logits: how many of those get logits; all if None.
        rows: the number of sequences in the batch, which share the sets of tokens that meet.
        lanes: tokens that a token takes in the first layer, if positions decide which ones; 0: it attends to all.

    >>> forward_flops(ModelConfig(layers=1, width=64, heads=4, hidden=256), vocabulary=20, tokens=10)
    1361920
    """
    queries = tokens if queries is None else queries
    logits = queries if logits is None else logits
    flops = 2 * logits * model.width * vocabulary
    here = tokens
    for layer in range(model.layers):
        if layer == model.prompt_layers:
            here = queries
        lookups = lanes if layer == 0 else 0
        if lookups and model.sums_one_layer:
            # As many sets as there can be: in most batches some are not among them.
            sets: int = min(rows * tokens * model.most_loops, MEETING_TOKENS**lanes)
            flops += _layer(model, 1, 1, 1, lookups) * sets // rows
        else:
            flops += (model.most_loops if layer < model.in_loops else 1) * _layer(model, here, here, here, lookups)
    # The last run through the last layer computes only what the logits need, each one before it every token.
    return flops - _layer(model, here, here, here, lookups) + _layer(model, here, queries, logits, lookups)


def _layer(model: ModelConfig, tokens: int, queries: int, logits: int, lookups: int) -> int:
    width, keys = model.width, model.width * (model.key_heads or model.heads) // model.heads
    mlp = 2 * width * model.hidden * model.matrices
    if lookups:
        return queries * (2 * lookups * width * width + mlp)
    # Queries are projected for the tokens that attend, outputs for those with logits, keys and values for all.
    # Values that are keys are not computed; an output map that is the transposed one of queries still is a product.
    maps = 1 if "values" in model.tie else 2
    projections = 2 * (queries + logits) * width * width + 2 * tokens * width * maps * keys
    attention = 2 * 2 * queries * tokens * width
    taps = 0 if model.mixing == "none" else TAPS if model.attention == "causal" else 2 * TAPS - 1
    mixing = 2 * taps * (queries * width + tokens * 2 * keys)
    return projections + attention + mixing + logits * mlp


def block_parameters(model: ModelConfig) -> int:
    """Weights of the matrices in all layers, which is nearly all there is with a vocabulary of digits.

    >>> block_parameters(ModelConfig(layers=12, width=768, heads=12, hidden=3072, activation="gelu"))
    84934656
    """
    # Layers, not depth: a layer that is in a loop has its weights once.
    keys = model.width * (model.key_heads or model.heads) // model.heads
    own = (2 - ("output" in model.tie)) * model.width + (2 - ("values" in model.tie)) * keys
    return model.layers * model.width * (own + model.matrices * model.hidden)


def training_flops(
    model: ModelConfig,
    vocabulary: int,
    rows: int,
    tokens: int,
    queries: int | None = None,
    logits: int | None = None,
    *,
    lanes: int = 0,
) -> int:
    """FLOPs of one training step on `rows` sequences, the mean over drawn loops; for the arguments see `forward_flops`.

    >>> config = ModelConfig(layers=1, width=64, heads=4, hidden=256)
    >>> training_flops(config, 20, rows=2, tokens=10) == 2 * 3 * forward_flops(config, 20, 10)
    True
    """
    low, high = model.loop_range
    # FLOPs grow by as much from each number of loops to the next, so that their mean is that of the ends.
    ends = [replace(model, loops=low), replace(model, loops=high)]
    each = [forward_flops(shape, vocabulary, tokens, queries, logits, rows=rows, lanes=lanes) for shape in ends]
    return PASSES * rows * sum(each) // len(each)


def palm_flops(model: ModelConfig, parameters: int, tokens: int) -> int:
    """FLOPs a trained token as model FLOPs utilisation counts them: 6 N + 12 L w n.

    N parameters, L layers, width w, n tokens in a sequence (Chowdhery et al., arXiv 2204.02311, appendix B). The
    convention counts embeddings as if they were products, and every token as if it got logits.

    >>> palm_flops(ModelConfig(layers=12, width=768, heads=12), 85_000_000, tokens=64)
    517077888
    """
    # N counts a layer's weights as often as loops use them: 6 N stands for what is computed, not for what is stored.
    # Twice the mean depth, which of a range of loops may end in a half.
    depths = sum(replace(model, loops=loops).depth for loops in model.loop_range)
    return 3 * parameters * depths // model.layers + 6 * depths * model.width * tokens


def seconds(flops: float, flops_per_second: float, *, at_least: float = 0) -> float:
    """How long products take at a rate.

    Args:
        at_least: time that passes however little is computed, such as that of launching a GPU's kernels.

    >>> seconds(6e12, 3e14), seconds(6e12, 3e14, at_least=0.1)
    (0.02, 0.1)
    """
    return max(flops / flops_per_second, at_least)


def parameter_bytes(training: TrainingConfig, frozen: bool = False) -> int:
    """Bytes that a parameter takes in training: its weight, its gradient and the optimiser's moments.

    With Muon this is a bound: the matrices of the blocks have one moment, all else has two.

    >>> [parameter_bytes(TrainingConfig(optimizer="sgd", momentum=momentum)) for momentum in (0.9, 0)]
    [12, 8]
    >>> parameter_bytes(TrainingConfig()), parameter_bytes(TrainingConfig(), frozen=True)
    (16, 4)
    """
    moments = 2 if training.optimizer != "sgd" else 1 if training.momentum else 0
    return NUMBER_BYTES * (1 if frozen else 2 + moments)


def activation_bytes(model: ModelConfig, precision: str, rows: int, tokens: int, lanes: int = 0) -> int:
    """Bytes that a forward pass keeps for the backward pass.

    For each token and layer about 10 vectors of the model's width, the MLP's inner vectors, and three copies of the
    attention scores: a rough guide, and an upper bound for fused attention, which keeps no scores.
    """
    inner = model.matrices * model.hidden
    each = 10 * model.width + inner + 3 * model.heads * tokens
    # Loops that are summed by the sets of tokens that meet keep less than one layer.
    depth = model.layers if lanes and model.sums_one_layer else model.depth
    return KEPT_BYTES[precision] * rows * tokens * depth * each
