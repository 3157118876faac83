"""Properties of every encoding of the catalogue: one is tested by being registered.

Long, as an encoding is held to all of them in one place, and few belong to one kind alone.
"""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

import arith
from arith.catalogue.entries import ALIASES, ENCODINGS
from arith.config.schema import ModelConfig
from arith.data.batch import Batch
from arith.data.dataset import Dataset
from arith.encodings.base import Encoding, Positions
from arith.encodings.by_token import Tags
from arith.encodings.compose import Composed, Part
from arith.encodings.coupled import Coupled
from arith.encodings.digit_positions import Abacus
from arith.encodings.learned import Learned
from arith.encodings.positions import Sequential
from arith.encodings.relative import Relative
from arith.encodings.rope import RoPE
from arith.encodings.segments import Segments
from arith.encodings.t5 import T5
from arith.kernels.attention import attention
from arith.model.cache import Cache
from arith.model.mixing import ShortConvolution
from arith.model.transformer import Transformer
from arith.tasks import vocabulary
from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

CPU = torch.device("cpu")
NEEDED = {
    "fire": "fire:threshold=8",
    "lookup": "lookup@coupled",  # where every token has an id of its own, there is nothing to take
    "rope-interpolated": "rope-interpolated:trained=10",
    "rope-llama3": "rope-llama3:trained=10",
    "rope-long": "rope-long:trained=10,factors=1-1.5-3-4",
    "rope-ntk": "rope-ntk:trained=10",
    "rope-yarn": "rope-yarn:trained=10",
    "window": "window:left=2,right=1",
}
BARE = [NEEDED.get(name, name) for name in ENCODINGS.names()]
SPECS = [
    *BARE,
    *ALIASES,
    "rope@coupled",
    "rope:share=0.5",
    "rope-yarn:trained=4@coupled",
    "xpos:scale_base=16@coupled",
    "t5:bidirectional=true@coupled",
    "learned@abacus:origin=random,span=5+rope",
    "(relative+window:left=3)@abacus",
    "alibi:learned=true@coupled",
    "kerple:kind=power@abacus+hard-alibi:masked=3",
    "fire:shared=true@abacus:origin=random,span=5",
    "shaw:radius=2@coupled",
    "relative-logits:extent=3,ahead=2,rank=4,clip=0.5@coupled",
    "relative-logits:extent=5,floor=3+rope",
    "pope@coupled+alibi",
    "grape:base=9@coupled",
    "rope[0]+pope[1]",
    "rope[0]+nope[1]",
    "shaw[1]+rope[0]+relative@coupled[0,1]",
    "forgetting[1]+window:left=3@abacus[0]",
    "transformer-xl:farthest=4@coupled",
    "dape:base=alibi@abacus",
    "rope+forgetting",
    "window:left=3+cope:farthest=2",
    "rope@segments+t5:bidirectional=true@coupled",
    "sinusoidal:scale=0.5@coupled",
    "random-embedding:how=add,share=0.3@coupled",
    "random-embedding:at=hidden,same_in_layers=false@tags",
    "random-embedding:at=heads,same_in_heads=false,same_in_layers=false@tags+rope:share=0.5",
    "random-embedding:at=heads,how=add@tags",
    "learned@sequential:origin=cyclic",
    "learned@coupled:levels=2",
    "rope:levels=2@coupled:levels=2",
    "fire:threshold=8@randomized:span=64",
    "t5@pose:span=64",
    "shaw@randomized:span=64,tested=even+relative@segments",
    "sinusoidal@cape:tested=fixed",
    "lookup@coupled+rope",
    "learned@abacus+lookup@coupled+lookup@segments+rope",
]


def batch(rows: int = 6) -> Batch:
    return Dataset(Mixture([Source(Addition(), Uniform(1, 4), 0, "train")]), NAMED["padded-reversed"]).batch(
        0, rows, CPU
    )


LOOPS: dict[str, dict[str, Any]] = {
    "once": {},
    "in turn": {"loops": 2},
    "in turn, a layer after": {"loops": 2, "looped": 1},
    "in turn, with recall": {"loops": 3, "loop_input": "both"},
    "mixed with tokens before": {"loops": 2, "mixing": "conv"},
    "summed": {"loops": 3, "loop_input": "embeddings"},
    "summed, a layer after": {"loops": 3, "looped": 1, "loop_input": "embeddings"},
}


def model(
    spec: str, layers: int = 2, heads: int = 4, key_heads: int | None = None, seed: int = 0, **loops: Any
) -> Transformer:
    torch.manual_seed(seed)
    config = ModelConfig(layers=layers, width=32, heads=heads, key_heads=key_heads, hidden=48, **loops)
    encoding = arith.encoding(spec, width=32, heads=heads, layers=layers, tokens=40, digits=12)
    built = Transformer(config, vocabulary.size(), encoding).double()
    for parameter in encoding.parameters():
        nn.init.normal_(parameter, std=0.3)  # tables that start at zero would make tests pass for nothing
    for module in built.modules():
        if isinstance(module, ShortConvolution):
            nn.init.normal_(module.weight)
    return built


@pytest.mark.parametrize("spec", SPECS)
def test_later_tokens_never_change_earlier_logits(spec: str) -> None:
    built, samples = model(spec), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    before = built(samples.tokens, ids)
    changed = samples.tokens.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % 10
    after = built(changed, ids)
    torch.testing.assert_close(after[:, :9], before[:, :9])
    assert not torch.allclose(after[:, 9:], before[:, 9:])


SLIDING = ("sliding-lanes", "sliding-lookup", "learned@abacus+sliding-lookup", "sliding-window", "t5", "cope")
WITH_LOOPS = [
    *((spec, loops) for spec in SPECS for loops in ("once", "in turn")),
    *((spec, loops) for spec in SLIDING for loops in list(LOOPS)[2:]),
]


@pytest.mark.parametrize(("spec", "loops"), WITH_LOOPS)
def test_cached_decoding_equals_the_full_pass(spec: str, loops: str) -> None:
    built = model(spec, key_heads=2, **LOOPS[loops])
    data = Dataset(Mixture([Source(Addition(), Uniform(3, 3), 0, "train")]), NAMED["padded-reversed"])
    samples = data.batch(0, 5, CPU)
    full = built(samples.tokens, built.encoding.full(samples.prompt, samples.tokens, samples.key, 40))
    cut = samples.shortest_prompt
    prompt = type(samples.prompt)(**{**vars(samples.prompt), "tokens": samples.tokens[:, :cut]})
    cache = Cache()
    ids, states = built.encoding.start(prompt, samples.key, 40)
    parts = [built(prompt.tokens, ids, cache=cache)]
    for place in range(cut, samples.tokens.shape[1]):
        token = samples.tokens[:, place]
        ids, states = built.encoding.step(token, states)
        parts.append(built(token[:, None], ids, cache=cache))
    torch.testing.assert_close(torch.cat(parts, dim=1), full)


@pytest.mark.parametrize(("spec", "loops"), WITH_LOOPS)
def test_asking_the_last_tokens_only_changes_nothing(spec: str, loops: str) -> None:
    built, samples = model(spec, **LOOPS[loops]), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    whole, picked = built(samples.tokens, ids)[:, -5:], torch.tensor([[4, 1]]).repeat(len(samples.tokens), 1)
    torch.testing.assert_close(built(samples.tokens, ids, queries=5), whole)
    torch.testing.assert_close(built(samples.tokens, ids, queries=5, picked=picked), whole[:, [4, 1]])


@pytest.mark.parametrize("spec", SPECS)
def test_padding_never_leaks(spec: str) -> None:
    built, samples = model(spec), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    row = int(samples.length.argmin())
    length = int(samples.length[row])
    assert length < samples.tokens.shape[1]
    alone = tuple(i[:, row if i.shape[1] > 1 else 0, :length][:, None] for i in ids)
    expected = built(samples.tokens[row : row + 1, :length], alone)
    torch.testing.assert_close(built(samples.tokens, ids)[row : row + 1, :length], expected)


@pytest.mark.parametrize("spec", SPECS)
def test_padding_changes_nothing_where_a_row_is_placed_by_itself(spec: str) -> None:
    built, samples = model(spec), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    row = int(samples.length.argmin())
    data = Dataset(Mixture([Source(Addition(), Uniform(1, 4), 0, "train")]), NAMED["padded-reversed"])
    alone = data.batch(row, 1, CPU)
    length = alone.tokens.shape[1]
    assert length < samples.tokens.shape[1]
    own = built.encoding.full(alone.prompt, alone.tokens, alone.key, 40)
    torch.testing.assert_close(built(samples.tokens, ids)[row : row + 1, :length], built(alone.tokens, own))


@pytest.mark.parametrize("spec", SPECS)
def test_keys_that_are_marked_as_padding_change_nothing(spec: str) -> None:
    encoding, samples = model(spec).encoding, batch()
    ids = encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    rows, tokens = samples.tokens.shape
    x, q = (torch.randn(rows, *shape, dtype=torch.float64) for shape in ((tokens, 32), (4, tokens, 8)))

    def mixed(length: int, q: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        positions = [Positions(own[:, :, :length], own[:, :, :length]) for own in ids]
        turned, k = encoding.at(0).rotate(q[:, :, :length], q[:, :, :length], positions)
        terms = encoding.at(0).terms(x[:, :length], turned, k, positions, {})
        return attention(turned, k, q[:, :, :length], terms=terms, causal=False, valid=valid)[:, :, :9]

    valid = torch.arange(tokens).expand(rows, -1) < 9
    other = torch.cat([q[:, :, :9], 1 + q[:, :, 9:]], dim=2)
    for own in (q, other):
        torch.testing.assert_close(mixed(tokens, own, valid), mixed(9, q, None))


LATE = ("unplaced", "function.2.bias")  # of T5 and FIRE: without a gradient where all tokens have a position


@pytest.mark.parametrize("spec", SPECS)
def test_no_parameter_is_dead_at_the_start(spec: str) -> None:
    """As models are initialised, and with the loss that they are trained on."""
    samples = batch(64)
    torch.manual_seed(0)
    encoding = arith.encoding(spec, width=32, heads=4, layers=2, tokens=40, digits=12)
    built = Transformer(ModelConfig(layers=2, width=32, heads=4, hidden=48), vocabulary.size(), encoding).double()
    built.loss(samples).backward()
    ids = encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    norms = {}
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        norms[name] = float(parameter.grad.norm() / math.sqrt(parameter.numel()))
    typical = sorted(norms.values())[len(norms) // 2]
    placed = [bool(ids[which].all()) for _, which in encoding.encodings()]
    for name, norm in norms.items():
        late = any(name.endswith(end) for end in LATE)
        if late and placed[int(name.split(".")[2])]:
            assert norm < 1e-12, f"{name} is no exception"
        else:
            assert norm > 1e-5 * typical, name


@pytest.mark.parametrize("spec", SPECS)
def test_gradients_reach_every_parameter(spec: str) -> None:
    built, samples = model(spec), batch(64)
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    built(samples.tokens, ids).square().sum().backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # The slot for tokens without a position, where all have one.
        unused = name.endswith("unplaced") and all(own.all() for own in ids)
        assert unused or parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("spec", [spec.removesuffix("@coupled") for spec in BARE])  # coupled ids have zeros, which stay
def test_relative_encodings_do_not_change_when_all_ids_are_shifted(spec: str) -> None:
    built, samples = model(spec), batch()
    encoding, _ = built.encoding.encodings()[0]
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    before, after = built(samples.tokens, ids), built(samples.tokens, tuple(i + 3 for i in ids))
    assert torch.allclose(before, after) == encoding.relative


@pytest.mark.parametrize("spec", SPECS)
def test_state_dict_round_trip(spec: str) -> None:
    first, second, samples = model(spec), model(spec, seed=1), batch()
    ids = first.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    assert not torch.equal(first(samples.tokens, ids), second(samples.tokens, ids))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(samples.tokens, ids), second(samples.tokens, ids))


@pytest.mark.parametrize("spec", SPECS)
def test_two_instances_share_no_state(spec: str) -> None:
    first, second, samples = model(spec), model(spec), batch()
    ids = first.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    before = first(samples.tokens, ids)
    with torch.no_grad():
        for own in (*second.encoding.parameters(), *second.encoding.buffers()):
            own.fill_(1)
    assert torch.equal(first(samples.tokens, ids), before)


RELATIVE = [
    spec
    for spec in SPECS
    if all(part.relative for part, _ in arith.encoding(spec, width=32, heads=4, layers=2, tokens=40).encodings())
]


@pytest.mark.parametrize("spec", RELATIVE)
def test_compositions_of_relative_encodings_do_not_change_when_all_ids_are_shifted(spec: str) -> None:
    """Ids of 0 are excepted: rotations leave such tokens where they are."""
    assert len(RELATIVE) > 25
    built, samples = model(spec), batch()
    generator = torch.Generator().manual_seed(0)
    ids = tuple(
        torch.randint(1, 11, (scheme.levels, *samples.tokens.shape), generator=generator)
        for scheme in built.encoding.schemes
    )
    shifted = tuple(own + 3 for own in ids)
    torch.testing.assert_close(built(samples.tokens, shifted), built(samples.tokens, ids))


@pytest.mark.parametrize("cast", ["autocast", "model"])
@pytest.mark.parametrize(
    "spec",
    [
        *(spec for spec in BARE if not spec.startswith("rope-")),
        "rope-yarn:trained=100",
        "fire@randomized:span=2048",
        "alibi:learned=true@randomized:span=2048",
        "kerple:kind=power@randomized:span=2048",
        "dape:base=alibi@randomized:span=2048",
        "shaw@randomized:span=2048",
        "transformer-xl@randomized:span=2048",
        "t5@randomized:span=2048",
        "rope@randomized:span=2048",
        "sinusoidal@randomized:span=2048",
        "sinusoidal@cape",
        "xpos@randomized:span=2048",
    ],
)
def test_half_precision_tells_large_ids_apart(spec: str, cast: str) -> None:
    """In bfloat16 1999 and 2000 are one. Compared with float32 on the same rounded parameters."""
    torch.manual_seed(0)
    exact = arith.encoding(spec, width=32, heads=4, layers=2, tokens=2048, digits=99)
    for parameter in exact.parameters():
        parameter.data = nn.init.normal_(parameter.data, std=0.1).bfloat16().float()
    half = copy.deepcopy(exact)
    if cast == "model":
        half = half.bfloat16()
    near = torch.arange(8) + torch.tensor([[1], [250], [1985], [2000]])
    ids = torch.stack([near[0], near[1], near[2], torch.cat([near[3, :4], near[2, 4:]])])[None]
    positions = [Positions(ids, ids)]
    x, q, v = (torch.randn(4, *shape).bfloat16().float() for shape in ((8, 32), (4, 8, 8), (4, 8, 8)))

    def acted(encoding: Composed, dtype: torch.dtype) -> list[torch.Tensor]:
        layer = encoding.at(0)
        embedded, inside = encoding.embed(x.to(dtype), positions), layer.hidden(x.to(dtype), positions)
        turned, k = layer.rotate(q.to(dtype), q.to(dtype), positions)
        terms = layer.terms(x.to(dtype), turned, k, positions, {})
        return [embedded.float(), inside.float(), attention(turned, k, v.to(dtype), terms=terms).float()]

    wanted = acted(exact, torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=cast == "autocast"):
        found = acted(half, torch.bfloat16)
    for own, other in zip(found, wanted, strict=True):
        assert (own - other).abs().max() < 0.03 * other.abs().max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("spec", SPECS)
def test_a_gpu_gives_what_the_cpu_gives_and_nobody_waits(spec: str) -> None:
    built, samples = model(spec), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    expected = built(samples.tokens, ids)
    there, tokens, placed = copy.deepcopy(built).cuda(), samples.tokens.cuda(), tuple(own.cuda() for own in ids)
    there(tokens, placed)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = there(tokens, placed)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-6, atol=1e-6)
    on_gpu = Dataset(Mixture([Source(Addition(), Uniform(1, 4), 0, "train")]), NAMED["padded-reversed"]).batch(
        0, 6, torch.device("cuda")
    )
    again = there.encoding.full(on_gpu.prompt, on_gpu.tokens, on_gpu.key, 40)
    for own, other in zip(again, ids, strict=True):
        assert torch.equal(own.cpu(), other)


# Whether the graph breaks, one layer and the first stage of compilation tell; the slow tier goes through the second
# too.
@pytest.mark.parametrize(("backend", "layers"), [("eager", 1), pytest.param("aot_eager", 2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("spec", SPECS)
def test_no_graph_breaks(spec: str, backend: str, layers: int) -> None:
    built, samples = model(spec, 2 if "[" in spec else layers), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    torch.compiler.reset()  # or earlier encodings use up the limit of recompilations
    compiled = torch.compile(built, backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(samples.tokens, ids), built(samples.tokens, ids))


@pytest.mark.parametrize("spec", SPECS)
def test_half_precision_stays_close(spec: str) -> None:
    built, samples = model(spec).float(), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    exact = built(samples.tokens, ids)
    with torch.autocast("cpu", torch.bfloat16):
        half = built(samples.tokens, ids)
    assert (half.float() - exact).abs().max() < 0.05 * exact.abs().max()


def test_each_part_acts_by_the_ids_of_its_own_scheme() -> None:
    """Against the parts, applied by hand."""
    spec = "learned@abacus+rope@segments+random-embedding:at=hidden@tags+t5"
    encoding, samples = model(spec, layers=2).encoding, batch()
    schemes = [Abacus(digits=12), Segments(), Tags(), Sequential(40)]
    line = samples.prompt, samples.tokens, samples.key, 40
    placed = [Positions(own, own) for own in (scheme.full(*line) for scheme in schemes)]
    positions = [Positions(own, own) for own in encoding.full(*line)]
    learned, rope, random, t5 = (part for part, _ in encoding.encodings())
    rows, tokens = samples.tokens.shape
    x, q = (torch.randn(rows, *shape, dtype=torch.float64) for shape in ((tokens, 32), (4, tokens, 8)))
    embedded = learned.embed(x, placed[0])
    turned, k = rope.rotate(q, q, placed[1])
    marked = random.at(0).hidden(x, placed[2])
    expected = attention(q, q, q, terms=t5.terms(x, q, q, placed[3], {}))
    assert torch.equal(encoding.embed(x, positions), embedded)
    layer = encoding.at(0)
    assert torch.equal(layer.hidden(x, positions), marked)
    assert all(torch.equal(*pair) for pair in zip(layer.rotate(q, q, positions), (turned, k), strict=True))
    assert torch.equal(attention(q, q, q, terms=layer.terms(x, q, q, positions, {})), expected)
    for own, acted in ((embedded, x), (turned, q), (marked, x), (expected, attention(q, q, q))):
        assert not torch.allclose(own, acted)


def test_starts_are_as_wide_as_settings_say() -> None:
    torch.manual_seed(0)
    for spec, std in (("learned", 0.5), ("learned:std=0.1", 0.1), ("shaw:radius=99", 0.1), ("shaw:radius=99,std=2", 2)):
        (part,) = arith.encoding(spec, width=64, heads=4, layers=1).parts
        (table,) = part.parameters()
        assert float(table.std()) == pytest.approx(std, rel=0.02)
        assert abs(float(table.mean())) < 0.05 * std


def test_learned_is_a_row_of_the_table_and_ids_beyond_it_raise() -> None:
    encoding = Learned(8, highest=5).double()
    x, ids = torch.randn(2, 4, 8, dtype=torch.float64), torch.tensor([[1, 0, 5, 2], [5, 5, 3, 0]])
    found = encoding.embed(x, Positions(ids[None], ids[None]))
    for row in range(2):
        for place, own in enumerate(ids[row].tolist()):
            expected = x[row, place] + (encoding.table[own] if own else 0)
            assert torch.equal(found[row, place], expected)
    with pytest.raises(IndexError):
        encoding.embed(x, Positions(ids[None] + 1, ids[None] + 1))


def test_rope_is_multiplication_of_complex_numbers() -> None:
    width, base = 8, 100.0
    rope = RoPE(width, base).double()
    q = torch.randn(1, 1, 5, width, dtype=torch.float64)
    ids = torch.tensor([[3, 0, 7, 2, 11]])
    rotated, _ = rope.rotate(q, q, Positions(ids[None], ids[None]))
    for place in range(5):
        for pair in range(width // 2):
            number = complex(q[0, 0, place, pair], q[0, 0, place, pair + width // 2])
            angle = int(ids[0, place]) * float(base ** torch.tensor(-2 * pair / width))
            turned = number * complex(math.cos(angle), math.sin(angle))
            found = complex(rotated[0, 0, place, pair], rotated[0, 0, place, pair + width // 2])
            assert abs(found - turned) < 1e-6


def t5_bucket(distance: int, bidirectional: bool, buckets: int, farthest: int) -> int:
    """Raffel et al. in plain Python."""
    start = 0
    if bidirectional:
        buckets //= 2
        start = buckets if distance > 0 else 0
        back = abs(distance)
    else:
        back = max(-distance, 0)
    exact = buckets // 2
    if back < exact:
        return start + back
    far = exact + int(math.log(back / exact) / math.log(farthest / exact) * (buckets - exact))
    return start + min(far, buckets - 1)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (8, 20), (6, 1000)])
def test_t5_buckets(bidirectional: bool, buckets: int, farthest: int) -> None:
    encoding = T5(2, buckets, farthest, bidirectional)
    distances = list(range(-2 * farthest, 2 * farthest))
    expected = [t5_bucket(distance, bidirectional, buckets, farthest) for distance in distances]
    assert encoding.bucket(torch.tensor(distances)).tolist() == expected


def test_relative_gain_multiplies_the_table() -> None:
    encoding = Relative(heads=1, radius=1, gain=7.0)
    nn.init.ones_(encoding.table)
    x = torch.zeros(1)
    positions = Positions(torch.ones(1, 1, 1).long(), torch.ones(1, 1, 1).long())
    assert encoding.terms(x, x, x, positions, {})[0].values.tolist() == [[7.0] * 4]


def test_levels_of_the_scheme_are_those_of_the_encoding() -> None:
    learned, *_ = arith.encoding("learned@coupled:levels=2", width=32, heads=4, layers=1, digits=9).parts
    assert [tuple(table.shape) for table in learned.parameters()] == [(11, 32), (11, 32)]
    x, ids = torch.zeros(1, 3, 32), torch.tensor([[[3, 0, 2]], [[1, 2, 0]]])
    first, second = learned.parameters()
    expected = torch.stack([first[3] + second[1], second[2], first[2]])
    torch.testing.assert_close(learned.embed(x, Positions(ids, ids))[0], expected)
    assert arith.encoding("rope@coupled:levels=2", width=32, heads=4, layers=1).parts[0].levels == 2
    assert arith.encoding("rope:levels=1@coupled:levels=2", width=32, heads=4, layers=1).parts[0].levels == 1


def test_only_levels_that_are_used_can_be_beyond_an_encoding() -> None:
    composed = Composed([Part(Learned(8, highest=3), Coupled(2, levels=2, numbers=9))])
    beyond = composed.beyond((torch.tensor([[[3, 4, 0]], [[4, 1, 1]]]),))
    assert beyond is not None
    assert beyond.tolist() == [[False, True, False]]


def test_parts_with_equal_schemes_share_ids() -> None:
    composed = arith.encoding("learned@coupled+rope@coupled+t5", width=32, heads=4, layers=1)
    assert len(composed.schemes) == 2
    assert composed.which == [0, 0, 1]


def test_encodings_have_the_four_places() -> None:
    x, q = torch.randn(1, 2, 8), torch.randn(1, 2, 2, 4)
    ids = torch.ones(1, 1, 2).long()
    nothing, positions = Encoding(), Positions(ids, ids)
    assert nothing.embed(x, positions) is x
    assert nothing.hidden(x, positions) is x
    assert nothing.rotate(q, q, positions) == (q, q)
    assert nothing.terms(x, q, q, positions, {}) == ()
    assert nothing.at(3) is nothing
