"""What a model of someone else's meets: one encoding of several parts, its positions, and what it refuses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import arith
from arith.encodings.base import Positions
from arith.encodings.compose import Composed

W, H, N = 32, 4, 20
SHORT = 16  # tokens that encodings here are built for


def composed(text: str, **lengths: int) -> Composed:
    torch.manual_seed(0)
    return arith.encoding(text, width=W, heads=H, layers=2, **lengths)


def indices(tokens: int) -> torch.Tensor:
    return torch.arange(1, tokens + 1)[None, None]


class GPT(nn.Module):
    """Two layers as anyone writes them, with padding and a cache."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.encoding = composed(text, tokens=SHORT)
        self.embedding, self.head = nn.Embedding(10, W), nn.Linear(W, 10)
        self.maps = nn.ModuleList(nn.Linear(W, 3 * W) for _ in range(2))

    def forward(self, tokens: torch.Tensor, valid: torch.Tensor, cache: list[dict[str, Any]]) -> torch.Tensor:
        n = tokens.shape[1]
        positions = self.encoding.sequential(valid)
        new, asking = [own.last(n, n) for own in positions], [own.last(n) for own in positions]
        x = self.encoding.embed(self.embedding(tokens), new)
        for index, kept in enumerate(cache):
            layer = self.encoding.at(index)
            x = layer.hidden(x, new)
            q, k, v = self.maps[index](x).unflatten(-1, (3, H, -1)).movedim(-3, 0).transpose(2, 3)
            q, k = layer.rotate(q, k, new)
            kept["k"] = k = torch.cat([kept["k"], k], 2) if "k" in kept else k
            kept["v"] = v = torch.cat([kept["v"], v], 2) if "v" in kept else v
            terms = layer.terms(x, q, k, asking, kept.setdefault("memory", {}))
            x = x + arith.attention(q, k, v, terms=terms, valid=valid).transpose(1, 2).flatten(-2)
        logits: torch.Tensor = self.head(x)
        return logits


@torch.no_grad()
@pytest.mark.parametrize("text", ["rope+t5", "learned", "alibi", "fire", "forgetting+shaw", "t5[0]+xpos[1]"])
def test_padding_and_a_cache_change_nothing(text: str) -> None:
    model, tokens = GPT(text).eval(), torch.arange(24).view(2, 12) % 10
    valid = torch.ones(2, 12, dtype=torch.bool)
    valid[0, :4] = False
    whole = model(tokens, valid, [{}, {}])
    if "forgetting" not in text:  # whose gates do not see what is padding
        torch.testing.assert_close(model(tokens[:1, 4:], valid[:1, 4:], [{}, {}]), whole[:1, 4:])
    cache: list[dict[str, Any]] = [{}, {}]
    steps = [(0, 7), (7, 8), (8, 12)]
    parts = [model(tokens[:, start:end], valid[:, :end], cache) for start, end in steps]
    torch.testing.assert_close(torch.cat(parts, 1)[valid], whole[valid])


@pytest.mark.parametrize("text", ["alibi", "kerple", "sandwich", "transformer-xl", "learned", "fire", "rope+alibi"])
def test_more_tokens_than_it_is_built_for_are_refused_wherever_they_come_in(text: str) -> None:
    encoding = composed(text, tokens=SHORT)
    assert encoding.longest == (SHORT,)
    x, q = torch.randn(1, N, W), torch.randn(1, H, N, 8)
    own = [Positions(indices(N), indices(N))]
    decoding = [Positions(indices(N)[..., -1:], indices(N))]
    layer = encoding.at(0)
    calls: list[Callable[[], object]] = [
        lambda: encoding.place((indices(N),)),
        lambda: encoding.sequential(torch.ones(1, N, dtype=torch.bool)),
        lambda: encoding.embed(x, own),
        lambda: layer.hidden(x, own),
        lambda: layer.rotate(q, q, own),
        lambda: layer.terms(x[:, -1:], q[:, :, -1:], q, decoding, {}),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r"built for sequences of 16 tokens, and here are 20. Build it with larger"
        ):
            call()
    encoding.embed(x[:, :SHORT], encoding.place((indices(SHORT),)))


@pytest.mark.parametrize("text", ["rope", "t5", "relative", "shaw", "learned@abacus", "fire@coupled", "nope"])
def test_what_has_no_limit_of_tokens_takes_any_number(text: str) -> None:
    encoding = composed(text, tokens=SHORT, digits=8)
    assert encoding.longest == (None,)
    x = torch.randn(1, N, W)
    encoding.embed(x, [Positions(indices(N).clamp(max=8), indices(N).clamp(max=8))])


def test_a_limit_is_that_of_the_part_and_its_scheme() -> None:
    text = "(alibi+t5)@sequential:origin=random,span=5+rope+learned@randomized:span=24"
    assert composed(text, tokens=SHORT).longest == (SHORT, None, 24)


def test_positions_known_to_be_within_reach_may_be_of_more_tokens() -> None:
    # As two documents in a row, whose ids both begin at 1.
    ids = torch.cat([indices(10), indices(10)], dim=2)
    encoding = composed("learned", tokens=SHORT)
    positions = [Positions(ids, ids, within_reach=True)]
    encoding.embed(torch.randn(1, N, W), positions)
    assert positions[0].last(3, 3).within_reach
    assert not Positions(ids, ids).last(3).within_reach


def test_an_id_beyond_a_table_says_which_setting_is_too_small() -> None:
    encoding = composed("learned@abacus", tokens=SHORT, digits=8)
    highest = encoding.parts[0].reach
    assert isinstance(highest, int)
    ids = torch.full((1, 1, 3), highest + 1)
    with pytest.raises(IndexError, match=rf"learned has position ids up to {highest}, and here one is.*digits="):
        encoding.embed(torch.randn(1, 3, W), [Positions(ids, ids)])


def test_ids_of_text_count_tokens_and_leave_padding_out() -> None:
    valid = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1]]).bool()
    (positions,) = composed("rope+t5").sequential(valid)
    assert positions.q.tolist() == [[[0, 0, 1, 2], [1, 2, 3, 0], [1, 0, 2, 3]]]
    assert not positions.indexes_tokens  # padding is no token


@pytest.mark.parametrize(
    "text", ["rope@randomized", "rope@abacus", "t5+fire@coupled", "learned@sequential:origin=random"]
)
def test_schemes_of_other_ids_are_not_passed_over(text: str) -> None:
    with pytest.raises(ValueError, match="positions are not the indices of tokens: take ids from full"):
        composed(text).sequential(torch.ones(2, 5, dtype=torch.bool))


def test_what_is_no_list_of_positions_says_so() -> None:
    encoding, x, q = composed("rope+t5@abacus"), torch.randn(1, N, W), torch.randn(1, H, N, 8)
    own = Positions(indices(N), indices(N))
    for wrong, told in (
        (own, "one Positions for each of 2 schemes: got Positions"),
        (indices(N), "one Positions for each of 2 schemes: got Tensor"),
        ([], "got 0"),
        ([own], "got 1"),
        ([indices(N), own], "got Tensor in it"),
    ):
        with pytest.raises(ValueError, match=told):
            encoding.embed(x, wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=told):
            encoding.at(0).terms(x, q, q, wrong, {})  # type: ignore[arg-type]
    for ids, told in ((indices(N), r"2 schemes: got a tensor of \(1, 1, 20\)"), ((indices(N),), "2 schemes: got 1")):
        with pytest.raises(ValueError, match=told):
            encoding.place(ids)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a Prompt: got NoneType. Of ordinary text, sequential\(valid\)"):
        encoding.full(None, torch.zeros(1, 3).long(), torch.zeros(1).long(), 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a Prompt: got NoneType"):
        encoding.start(None, torch.zeros(1).long(), 3)  # type: ignore[arg-type]


def test_keys_are_rotated_once_by_as_many_ids() -> None:
    layer, q = composed("rope").at(0), torch.randn(1, H, N, 8)
    everything = Positions(indices(N), indices(N))
    with pytest.raises(
        ValueError, match=r"1 queries and 20 keys, and there are 1 and 1. Keys that a cache.*last\(n, n\)"
    ):
        layer.rotate(q[:, :, -1:], q[:, :, -1:], [everything.last(1)])
    layer.rotate(q[:, :, -1:], q[:, :, -1:], [everything.last(1, 1)])


@torch.no_grad()
def test_sums_that_were_dropped_are_missed() -> None:
    model, tokens = GPT("forgetting").eval(), torch.arange(24).view(2, 12) % 10
    valid = torch.ones(2, 12, dtype=torch.bool)
    cache: list[dict[str, Any]] = [{}, {}]
    model(tokens[:, :7], valid[:, :7], cache)
    for kept in cache:
        del kept["memory"]
    with pytest.raises(
        ValueError, match=r"holds sums of 0 tokens before 5 new ones, for 12 keys. Keep one dict a layer"
    ):
        model(tokens[:, 7:], valid, cache)
    cache = [{"memory": {}}, {}]
    cache[1]["memory"] = cache[0]["memory"]
    with pytest.raises(ValueError, match="Decay has a sum for each of 2 x 4 x 12 keys"):
        model(tokens, valid, cache)


def test_a_graph_of_it_is_whole() -> None:
    encoding = composed("learned+rope+alibi", tokens=SHORT)
    x, q = torch.randn(1, 8, W), torch.randn(1, H, 8, 8)

    def run(ids: torch.Tensor) -> torch.Tensor:
        positions, layer = encoding.place((ids,)), encoding.at(0)
        rotated, _ = layer.rotate(q, q, positions)
        terms = layer.terms(x, rotated, q, positions, {})
        return encoding.embed(x, positions) + arith.attention(rotated, q, q, terms=terms).transpose(1, 2).flatten(2)

    compiled = torch.compile(run, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(indices(8)), run(indices(8)))
