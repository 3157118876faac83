"""Properties of every encoding of the catalogue: one is tested by being registered."""

import math

import pytest
import torch
from torch import nn

import arith
from arith.cache import Cache
from arith.catalogue import ALIASES, ENCODINGS
from arith.config import ModelConfig
from arith.data import Batch, Dataset
from arith.encodings.base import Encoding, Positions
from arith.encodings.compose import Composed, Part
from arith.encodings.coupled import Coupled
from arith.encodings.learned import Learned
from arith.encodings.relative import Relative
from arith.encodings.rope import RoPE
from arith.encodings.t5 import T5
from arith.model import Transformer
from arith.tasks import vocabulary
from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

CPU = torch.device("cpu")
NEEDED = {
    "fire": "fire:threshold=8",
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
]


def batch(rows: int = 6) -> Batch:
    return Dataset(Mixture([Source(Addition(), Uniform(1, 4), 0, "train")]), NAMED["padded-reversed"]).batch(
        0, rows, CPU
    )


def model(spec: str, layers: int = 2, heads: int = 4, key_heads: int | None = None, loops: int = 1) -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(layers=layers, width=32, heads=heads, key_heads=key_heads, hidden=48, loops=loops)
    encoding = arith.encoding(spec, width=32, heads=heads, layers=layers, tokens=40, digits=12)
    built = Transformer(config, vocabulary.size(), encoding).double()
    for parameter in encoding.parameters():
        nn.init.normal_(parameter, std=0.3)  # tables that start at zero would make tests pass for nothing
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


@pytest.mark.parametrize("loops", [1, 2])
@pytest.mark.parametrize("spec", SPECS)
def test_cached_decoding_equals_the_full_pass(spec: str, loops: int) -> None:
    built = model(spec, key_heads=2, loops=loops)
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


@pytest.mark.parametrize("spec", SPECS)
def test_asking_the_last_tokens_only_changes_nothing(spec: str) -> None:
    built, samples = model(spec), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    torch.testing.assert_close(built(samples.tokens, ids, queries=5), built(samples.tokens, ids)[:, -5:])


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


@pytest.mark.parametrize("spec", BARE)
def test_relative_encodings_do_not_change_when_all_ids_are_shifted(spec: str) -> None:
    built, samples = model(spec), batch()
    encoding, _ = built.encoding.encodings()[0]
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    before, after = built(samples.tokens, ids), built(samples.tokens, tuple(i + 3 for i in ids))
    assert torch.allclose(before, after) == encoding.relative


@pytest.mark.parametrize("spec", SPECS)
def test_state_dict_round_trip(spec: str) -> None:
    first, second, samples = model(spec), model(spec), batch()
    for parameter in first.parameters():
        nn.init.normal_(parameter)
    second.load_state_dict(first.state_dict())
    ids = first.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    assert torch.equal(first(samples.tokens, ids), second(samples.tokens, ids))


@pytest.mark.parametrize("spec", SPECS)
def test_no_graph_breaks(spec: str) -> None:
    built, samples = model(spec), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    torch.compiler.reset()  # or earlier encodings use up the limit of recompilations
    compiled = torch.compile(built, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(samples.tokens, ids), built(samples.tokens, ids))


@pytest.mark.parametrize("spec", SPECS)
def test_half_precision_stays_close(spec: str) -> None:
    built, samples = model(spec).float(), batch()
    ids = built.encoding.full(samples.prompt, samples.tokens, samples.key, 40)
    exact = built(samples.tokens, ids)
    with torch.autocast("cpu", torch.bfloat16):
        half = built(samples.tokens, ids)
    assert (half.float() - exact).abs().max() < 0.05 * exact.abs().max()


def test_two_ropes_share_no_state() -> None:
    slow, fast = RoPE(8, base=10000.0), RoPE(8, base=10.0)
    assert not torch.equal(slow.frequencies, fast.frequencies)
    q = torch.randn(1, 1, 5, 8)
    positions = Positions(torch.arange(1, 6)[None, None], torch.arange(1, 6)[None, None])
    before = slow.rotate(q, q, positions)[0]
    fast.rotate(q, q, positions)
    assert torch.equal(slow.rotate(q, q, positions)[0], before)


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
