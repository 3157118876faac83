"""Encodings whose scores depend on the content: against other implementations, and against loops over pairs.

Long, as the five share their reference formulas.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arith.encodings.base import Encoding, Memory, Positions
from arith.encodings.biases import ALiBi
from arith.encodings.cope import CoPE
from arith.encodings.dape import DAPE
from arith.encodings.forgetting import Forgetting
from arith.encodings.relative_logits import RelativeLogits
from arith.encodings.shaw import Shaw
from arith.encodings.transformer_xl import TransformerXL
from arith.kernels import reference
from arith.kernels.attention import attention
from arith.kernels.terms import Decay, ScoreMod

B, H, N, D, LAYERS = 2, 4, 9, 6, 2
W = H * D
PLACES = {
    "sequential": torch.arange(1, N + 1)[None],
    "ragged": torch.tensor([[0, 3, 2, 1, 3, 12, 0, 2, 1], [5, 0, 1, 9, 2, 2, 4, 0, 7]]),
}
MAKE: dict[str, Callable[[], Encoding]] = {
    "shaw": lambda: Shaw(H, D, LAYERS, radius=3),
    "relative-logits": lambda: RelativeLogits(W, H, LAYERS, extent=4, rank=3),
    "relative-logits:ahead=2": lambda: RelativeLogits(W, H, LAYERS, extent=3, ahead=2, rank=3, clip=0.7, floor=4),
    "transformer-xl": lambda: TransformerXL(W, H, LAYERS, highest=12),
    "transformer-xl:farthest=3": lambda: TransformerXL(W, H, LAYERS, highest=12, farthest=3),
    "cope": lambda: CoPE(D, LAYERS, farthest=3),
    "forgetting": lambda: Forgetting(W, H, LAYERS),
    "dape:base=kerple": lambda: DAPE(H, LAYERS, "kerple", hidden=5),
    "dape:base=alibi": lambda: DAPE(H, LAYERS, "alibi", hidden=5),
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Q, K, V = random(B, N, W), random(B, H, N, D, seed=1), random(B, H, N, D, seed=2), random(B, H, N, D, seed=3)


def made(name: str) -> Encoding:
    torch.manual_seed(0)
    encoding = MAKE[name]().double()
    for parameter in encoding.parameters():
        nn.init.normal_(parameter, std=0.5)
    return encoding


def attended(encoding: Encoding, places: Tensor, queries: int = N, q: Tensor = Q, k: Tensor = K) -> Tensor:
    layer = encoding.at(1)
    positions = Positions(places[None], places[None]).last(queries)
    q, k = layer.rotate(q[:, :, N - queries :], k, positions)
    return attention(q, k, V, terms=layer.terms(X, q, k, positions, {}))


def named(encoding: Encoding) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in encoding.at(1).named_parameters()}


def dot(b: int, h: int, i: int, j: int) -> float:
    return float(Q[b, h, i] @ K[b, h, j]) / math.sqrt(D)


def shaw(own: dict[str, Tensor], places: Tensor, b: int, h: int, i: int, j: int) -> float:
    q, k = int(places[b, i]), int(places[b, j])
    if q == 0 or k == 0:
        return dot(b, h, i, j)
    key = K[b, h, j] + own["table"][h, max(-3, min(3, k - q)) + 3]
    return float(Q[b, h, i] @ key) / math.sqrt(D)


def relative_logits(extent: int, ahead: int, clip: float, floor: int) -> Callable[..., float]:
    def score(own: dict[str, Tensor], places: Tensor, b: int, h: int, i: int, j: int) -> float:
        q, k = int(places[b, i]), int(places[b, j])
        tau = 1 + 0.1 * math.log(max(q / floor, 1))
        if q == 0 or k == 0 or not -ahead <= q - k < extent:
            return dot(b, h, i, j) * tau
        r = own["mix.weight"][h * 3 : (h + 1) * 3] @ X[b, i]
        r = r * min(1.0, clip / (float(r.norm()) + 1e-6))
        return (dot(b, h, i, j) + float(r @ own["profiles"][k - q + extent - 1])) * tau

    return score


def transformer_xl(farthest: int) -> Callable[..., float]:
    def score(own: dict[str, Tensor], places: Tensor, b: int, h: int, i: int, j: int) -> float:
        q, k = int(places[b, i]), int(places[b, j])
        u, v = own["content_bias"][h], own["position_bias"][h]
        content = float((Q[b, h, i] + u) @ K[b, h, j])
        if q == 0 or k == 0:
            return content / math.sqrt(D)
        distance = max(-farthest, min(farthest, q - k))
        angles = [distance / 10000 ** (2 * pair / W) for pair in range(W // 2)]
        sinusoids = torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles], dtype=torch.float64)
        key = own["project.weight"][h * D : (h + 1) * D] @ sinusoids
        return (content + float((Q[b, h, i] + v) @ key)) / math.sqrt(D)

    return score


def cope(own: dict[str, Tensor], places: Tensor, b: int, h: int, i: int, j: int) -> float:
    position = min(3.0, sum(1 / (1 + math.exp(-dot(b, h, i, t))) for t in range(j, i + 1)))
    lower, upper = math.floor(position), math.ceil(position)
    part = position - lower
    key = (1 - part) * own["table"][lower] + part * own["table"][upper]
    return dot(b, h, i, j) + float(Q[b, h, i] @ key)


def forgetting(own: dict[str, Tensor], places: Tensor, b: int, h: int, i: int, j: int) -> float:
    kept = 1.0
    for t in range(j + 1, i + 1):
        kept /= 1 + math.exp(-float(own["gate.weight"][h] @ X[b, t] + own["gate.bias"][h]))
    return dot(b, h, i, j) + math.log(kept)


def dape(base: str) -> Callable[..., float]:
    def score(own: dict[str, Tensor], places: Tensor, b: int, h: int, i: int, j: int) -> float:
        q, k = int(places[b, i]), int(places[b, j])
        if q == 0 or k == 0:
            return dot(b, h, i, j)
        if base == "alibi":
            biases = [-(2 ** (-8 * head / H)) * abs(k - q) for head in range(1, H + 1)]
        else:
            scale, rate = own["base.log_scale"].flatten().exp(), own["base.log_rate"].flatten().exp()
            biases = [-float(scale[head]) * math.log(1 + float(rate[head]) * abs(k - q)) for head in range(H)]
        seen = torch.tensor([dot(b, head, i, j) for head in range(H)] + biases, dtype=torch.float64)
        inner = [float(a) if a > 0 else 0.01 * float(a) for a in own["adapt.0.weight"] @ seen + own["adapt.0.bias"]]
        change = own["adapt.2.weight"][h] @ torch.tensor(inner, dtype=torch.float64)
        return dot(b, h, i, j) + biases[h] + float(change)

    return score


SCORES: dict[str, Callable[..., float]] = {
    "shaw": shaw,
    "relative-logits": relative_logits(4, 0, math.inf, 1000),
    "relative-logits:ahead=2": relative_logits(3, 2, 0.7, 4),
    "transformer-xl": transformer_xl(12),
    "transformer-xl:farthest=3": transformer_xl(3),
    "cope": cope,
    "forgetting": forgetting,
    "dape:base=kerple": dape("kerple"),
    "dape:base=alibi": dape("alibi"),
}


@pytest.mark.parametrize("queries", [N, 3])
@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("name", MAKE)
def test_scores_are_what_the_papers_define(name: str, places: str, queries: int) -> None:
    encoding, ids = made(name), PLACES[places].expand(B, -1)
    own = named(encoding)
    expected = torch.zeros(B, H, N, D, dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            for i in range(N):
                row = [SCORES[name](own, ids, b, h, i, j) for j in range(i + 1)]
                expected[b, h, i] = torch.tensor(row, dtype=torch.float64).softmax(0) @ V[b, h, : i + 1]
    # Sinusoids are kept in float32.
    rtol, atol = (1e-6, 1e-6) if name.startswith("transformer-xl") else (1e-6, 1e-12)
    found = attended(encoding, PLACES[places], queries)
    torch.testing.assert_close(found, expected[:, :, N - queries :], rtol=rtol, atol=atol)


def test_transformer_xl_reaches_to_the_highest_id_unless_distances_end_before() -> None:
    assert TransformerXL(W, H, 1, highest=12).reach == 12
    assert TransformerXL(W, H, 1, highest=12, farthest=3).reach is None


@pytest.mark.parametrize("heads", [3, 4, 6, 12])
def test_dape_adapts_the_slopes_of_alibi(heads: int) -> None:
    base = DAPE(heads, 1, "alibi").at(0).base
    assert torch.equal(base.slopes.flatten(), ALiBi(heads, 9).slopes.flatten())


def test_shaw_is_that_of_wav2vec2_bert() -> None:
    transformers = pytest.importorskip("transformers.models.wav2vec2_bert.modeling_wav2vec2_bert")
    config = transformers.Wav2Vec2BertConfig(
        hidden_size=W,
        num_attention_heads=H,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=3,
        right_max_position_embeddings=3,
        attn_implementation="eager",
    )
    theirs = transformers.Wav2Vec2BertSelfAttention(config).double().eval()
    for linear in (theirs.linear_q, theirs.linear_k, theirs.linear_v, theirs.linear_out):
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    ours = Shaw(H, D, 1, radius=3).double()
    ours.at(0).table.data[:] = theirs.distance_embedding.weight.detach()  # theirs is shared by the heads
    hidden = torch.full((N, N), -math.inf, dtype=torch.float64).triu(1)[None, None]
    heads = X.reshape(B, N, H, D).transpose(1, 2)
    positions = Positions(PLACES["sequential"][None], PLACES["sequential"][None])
    terms = ours.at(0).terms(X, heads, heads, positions, {})
    found = attention(heads, heads, heads, terms=terms).transpose(1, 2).reshape(B, N, W)
    torch.testing.assert_close(found, theirs(X, attention_mask=hidden)[0], rtol=1e-6, atol=1e-12)


def test_relative_logits_are_those_of_inkling() -> None:
    transformers = pytest.importorskip("transformers.models.inkling.modeling_inkling")
    theirs = transformers.InklingRelativeLogits(d_rel=3, rel_extent=4).double()
    encoding = made("relative-logits")
    own = named(encoding)
    theirs.proj.data = own["profiles"].flip(0).T  # theirs are in the order of q - k
    states = (X @ own["mix.weight"].T).view(B, N, H, 3)
    expected = theirs(states, torch.arange(N), torch.arange(N))
    torch.testing.assert_close(bias_of(encoding), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("floor", [None, 4])
def test_limited_relative_logits_are_those_of_inkling_2(floor: int | None) -> None:
    transformers = pytest.importorskip("transformers.models.inkling2.modeling_inkling2")
    config = transformers.Inkling2TextConfig(
        hidden_size=W, d_rel=3, rel_l2_clip_threshold=0.7, log_scaling_n_floor=floor or 4, log_scaling_alpha=0.1
    )
    theirs = transformers.Inkling2RelativePositionBias(config, H, 4, log_scaling=floor is not None).double()
    ours = RelativeLogits(W, H, 1, extent=4, rank=3, clip=0.7, floor=floor).double()
    nn.init.normal_(theirs.norm.scale)
    # Their scale of the states is part of our map.
    ours.at(0).mix.weight.data = theirs.linear.weight * theirs.norm.scale.flatten()[:, None]
    ours.at(0).profiles.data = nn.init.normal_(theirs.proj).detach().T.flip(0)
    distance = torch.arange(N)[:, None] - torch.arange(N)
    expected = theirs(X, distance, torch.arange(N)[None])
    # They compute the states in 32 bits.
    torch.testing.assert_close(bias_of(ours, 0), expected, rtol=1e-6, atol=1e-6)


def bias_of(encoding: Encoding, layer: int = 1) -> Tensor:
    ids = PLACES["sequential"][None]
    (term,) = encoding.at(layer).terms(X, Q, K, Positions(ids, ids), {})
    return reference.add_term(term, torch.zeros(B, H, N, N, dtype=torch.float64))


@pytest.mark.parametrize(
    "wrong", [{"extent": 0}, {"rank": 0}, {"ahead": -1}, {"std": -1.0}, {"clip": 0.0}, {"floor": 0}]
)
def test_relative_logits_without_a_slot_a_profile_or_a_limit_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}={wrong[name]}"):
        RelativeLogits(W, H, 1, **wrong)


def test_a_floor_asks_how_large_ids_are() -> None:
    assert RelativeLogits(W, H, 1).relative
    assert not RelativeLogits(W, H, 1, floor=9).relative


def test_transformer_xl_is_that_of_xlnet() -> None:
    transformers = pytest.importorskip("transformers.models.xlnet.modeling_xlnet")
    config = transformers.XLNetConfig(d_model=W, n_head=H, attn_type="uni", n_layer=1, vocab_size=2)
    model = transformers.XLNetModel(config).double().eval()
    theirs = model.layer[0].rel_attn
    encoding = made("transformer-xl")
    own = named(encoding)
    theirs.r.data = own["project.weight"].T.reshape(W, H, D)
    theirs.r_w_bias.data, theirs.r_r_bias.data = own["content_bias"], own["position_bias"]
    sinusoids = model.relative_positional_encoding(N, N, bsz=B).double()
    keys = torch.einsum("ibh,hnd->ibnd", sinusoids, theirs.r)
    q, k, v = (tensor.permute(2, 0, 1, 3) for tensor in (Q, K, V))
    hidden = torch.ones(N, N, dtype=torch.float64).triu(1)[:, :, None, None]
    expected = theirs.rel_attn_core(q, k, v, keys, attn_mask=hidden).permute(1, 2, 0, 3)
    found = attended(encoding, PLACES["sequential"])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("queries", [N, 3])
def test_cope_is_that_of_x_transformers(queries: int) -> None:
    theirs = pytest.importorskip("x_transformers.x_transformers").CoPE(D, H, max_pos=4).double()
    encoding = made("cope")
    theirs.pos_emb.data = named(encoding)["table"]
    q, ids = Q[:, :, N - queries :], PLACES["sequential"][None]
    (term,) = encoding.at(1).terms(X, q, K, Positions(ids, ids).last(queries), {})
    assert isinstance(term, ScoreMod)
    scores = q @ K.transpose(-1, -2)
    visible = torch.ones(queries, N, dtype=torch.bool).tril(N - queries)
    expected = scores + theirs(q, scores.masked_fill(~visible, -math.inf))
    torch.testing.assert_close(term.function(scores)[..., visible], expected[..., visible], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("name", MAKE)
def test_gradients_are_exact(name: str, places: str) -> None:
    encoding = made(name)
    q, k = Q.clone().requires_grad_(), K.clone().requires_grad_()
    parameters = tuple(encoding.at(1).parameters())

    def out(*_: Tensor) -> Tensor:
        return attended(encoding, PLACES[places], 2, q, k)

    # gradcheck changes its inputs in place, so the module sees the change of its parameters.
    assert torch.autograd.gradcheck(out, (q, k, *parameters), fast_mode=True)


@pytest.mark.parametrize("name", ["cope", "forgetting"])
def test_positions_from_the_content_need_no_ids(name: str) -> None:
    encoding = made(name)
    assert torch.equal(attended(encoding, PLACES["sequential"]), attended(encoding, PLACES["ragged"]))


@pytest.mark.parametrize("name", MAKE)
def test_later_tokens_never_change_what_earlier_ones_see(name: str) -> None:
    encoding = made(name)
    k = K.clone()
    k[:, :, 5:] += 3
    before, after = attended(encoding, PLACES["ragged"]), attended(encoding, PLACES["ragged"], k=k)
    torch.testing.assert_close(after[:, :, :5], before[:, :, :5], rtol=0, atol=0)
    assert not torch.allclose(after[:, :, 5:], before[:, :, 5:])


@pytest.mark.parametrize("name", MAKE)
def test_layers_and_instances_share_no_parameters_and_loops_do(name: str) -> None:
    bare = [MAKE[name](), MAKE[name]()]  # another dtype would part what is shared
    storages = [
        {parameter.data_ptr() for parameter in encoding.at(layer).parameters()}
        for encoding in bare
        for layer in range(LAYERS)
    ]
    assert len(set.union(*storages)) == sum(map(len, storages))
    first, second = made(name), made(name)
    assert first.at(1, loop=3) is first.at(1)
    before = attended(second, PLACES["ragged"])
    for parameter in first.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(attended(second, PLACES["ragged"]), before)
    assert not torch.equal(attended(first, PLACES["ragged"]), before)


def test_forgetting_goes_on_from_its_memory() -> None:
    encoding = made("forgetting")
    ids = PLACES["sequential"][None]
    positions = Positions(ids, ids)

    def cumulative(x: Tensor, memory: Memory, layer: int = 1) -> Tensor:
        so_far = x.shape[1] + (memory["cumulative"].shape[2] if memory else 0)
        (term,) = encoding.at(layer).terms(x, Q, K[:, :, :so_far], positions, memory)
        assert isinstance(term, Decay)
        return term.cumulative

    memory: Memory = {}
    for start, end in ((0, 4), (4, 5), (5, N)):
        found = cumulative(X[:, start:end], memory)
        assert found.shape == (B, H, end)
    torch.testing.assert_close(found, cumulative(X, {}))
    rows = torch.tensor([1, 1, 0])
    memory = {}
    cumulative(X[:, :4], memory)
    memory = {name: kept[rows] for name, kept in memory.items()}
    torch.testing.assert_close(cumulative(X[rows][:, 4:], memory), cumulative(X[rows], {}))
    assert not torch.allclose(cumulative(X, {}, layer=0), cumulative(X, {}))


def test_sums_keep_single_precision_in_half_precision() -> None:
    tokens = 600
    x, q = torch.ones(1, tokens, W).bfloat16(), torch.ones(1, 1, 1, D).bfloat16()
    ids = torch.arange(1, tokens + 1)[None, None]
    (decay,) = Forgetting(W, 1, 1).bfloat16().at(0).terms(x, q, q, Positions(ids, ids), {})
    assert decay.cumulative.dtype == torch.float32
    cope = CoPE(D, 1, farthest=1000).at(0)
    cope.table.data[:, 0] = torch.arange(1001) % 2
    (counting,) = cope.bfloat16().terms(x, q, q, Positions(ids, ids).last(1), {})
    scores = torch.full((1, 1, 1, tokens), 20.0).bfloat16()
    odd = (counting.function(scores) - scores).flatten().flip(0)
    torch.testing.assert_close(odd.float(), (torch.arange(1, tokens + 1) % 2).float())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Shaw(H, D, LAYERS, radius=0), "radius is a distance of 1 or more, got 0"),
        (lambda: TransformerXL(5, 1, LAYERS, highest=3), "must be even, got 5"),
        (lambda: TransformerXL(W, H, LAYERS, highest=3, farthest=0), "farthest is a distance of 1 or more, got 0"),
        (lambda: CoPE(D, LAYERS, farthest=0), "counts to 1 or farther, got farthest=0"),
        (lambda: DAPE(H, LAYERS, "t5"), "one of kerple, alibi, got t5"),  # type: ignore[arg-type]
        (lambda: DAPE(H, LAYERS, hidden=0), "1 unit or more, got hidden=0"),
    ],
)
def test_refusals_say_what_came_and_what_is_allowed(make: Callable[[], Encoding], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
