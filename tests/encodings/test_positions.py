"""Position schemes: ids by hand, and what must hold for every scheme, format and task.

Long, as one harness of decoding, shifts and pads serves all schemes, and each scheme's ids are written out.
"""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Int
from torch import Tensor

from arith.catalogue.entries import SCHEMES as SCHEMES_BY_NAME
from arith.catalogue.named import format_named
from arith.data.batch import Batch, as_batch, reading
from arith.data.dataset import Dataset
from arith.encodings.by_token import CAPE, Tags
from arith.encodings.compose import Composed, Part, indexes_tokens
from arith.encodings.coupled import Coupled
from arith.encodings.digit_positions import Abacus
from arith.encodings.learned import Learned
from arith.encodings.nesting import Nesting
from arith.encodings.origins import Origin
from arith.encodings.pose import PoSE
from arith.encodings.positions import Kind, Prompt, Scheme, Sequential
from arith.encodings.randomized import Randomized
from arith.encodings.relative import Relative
from arith.encodings.segments import Segments
from arith.encodings.sliding import Multiplicand, Multiplier
from arith.encodings.symbols import Symbols
from arith.tasks import vocabulary
from arith.tasks.addition import Addition
from arith.tasks.base import Problems, Task
from arith.tasks.dialogue import Dialogue
from arith.tasks.digits import Numbers
from arith.tasks.formats import NAMED
from arith.tasks.lego import Lego
from arith.tasks.mixture import Mixture
from arith.tasks.multiplication import Multiplication
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.stream import Draws, Split, sample_keys
from arith.tasks.subtraction import Subtraction

CPU = torch.device("cpu")
DIGITS = 20
ORIGINS = ("fixed", "random", "cyclic")
SCHEMES: list[Scheme] = [
    Sequential(),
    Sequential(400, origin="cyclic"),
    *(kind(DIGITS, origin) for kind in (Abacus, Coupled) for origin in ("fixed", "cyclic")),  # type: ignore[arg-type]
    *(kind(DIGITS, origin="random", span=9) for kind in (Abacus, Coupled)),
    CAPE(),
    Tags(),
    Coupled(DIGITS, origin="random", span=9, levels=2, numbers=5),
    Coupled(DIGITS, origin="cyclic", levels=2, numbers=5, leads=True),
    Segments(),
    Randomized(span=500),
    Randomized(span=500, tested="even"),
    PoSE(tokens=500, chunks=4),
    *(kind(DIGITS, ahead=ahead) for kind in (Multiplicand, Multiplier) for ahead in (False, True)),
    Symbols(),
    Nesting(),
]
OF_DIGITS = [scheme for scheme in SCHEMES if scheme.structure_aware and not isinstance(scheme, Nesting)]
LONGEST = 400  # tokens that any of the samples may grow to
ADDED = [
    "reversed+spaces",
    "padded+spaces:answer=true",
    "all-reversed+hints",
    "padded+groups:size=2",
    "plain+hints",
    "interleaved-reversed+hints",
    "reversed+scratchpad",
    "plain+recursive",
    "padded-reversed+partial-products",
    "plain+detailed+hints",
]
FORMATS = [*NAMED, "padded:width=9", *ADDED]
TASKS: list[Task] = [Addition(), Addition(operands=3), Multiplication(), Subtraction(), Dialogue("seen")]


def data_of(task: Task, name: str, sampler: Uniform, split: Split = "train") -> Dataset:
    return Dataset(Mixture([Source(task, sampler, 0, split)]), format_named(name))


def line_of(name: str, *operands: int) -> Batch:
    task, numbers, form = (
        Addition(operands=len(operands)),
        tuple(Numbers.of([own]) for own in operands),
        format_named(name),
    )
    written = form.write(task, Problems(numbers, task.solve(*numbers)), Draws.at(0, "train", 0, 1))
    return as_batch(written, reading(form, len(operands)), torch.tensor([0]), CPU, 32, tested=False)


def levels_of(scheme: Scheme, name: str, *operands: int) -> list[list[int]]:
    line = line_of(name, *operands)
    return scheme.full(line.prompt, line.tokens, line.key, line.capacity)[:, 0].tolist()


def ids_of(scheme: Scheme, name: str, a: int, b: int) -> list[int]:
    return levels_of(scheme, name, a, b)[0]


@pytest.mark.parametrize("scheme", [*SCHEMES, Sequential(origin="random", span=9)], ids=str)
@pytest.mark.parametrize("tested", [False, True])
def test_a_scheme_that_says_so_indexes_tokens(scheme: Scheme, tested: bool) -> None:
    if not indexes_tokens(scheme):
        assert type(scheme) is not Sequential or scheme.cyclic
        return
    batch = data_of(Addition(), "reversed", Uniform(2, 5)).batch(0, 20, CPU)
    composed = Composed([Part(Relative(heads=1, radius=3), scheme)])
    ids = scheme.full(replace(batch.prompt, tested=tested), batch.tokens, batch.key, LONGEST)
    index = torch.arange(batch.tokens.shape[1])
    prompt = replace(batch.prompt, tokens=batch.tokens[:, :3], length=torch.full_like(batch.prompt.length, 3))
    started, state = scheme.start(replace(prompt, tested=tested), batch.key, LONGEST)
    stepped, _ = scheme.step(batch.tokens[:, 3], state)
    for own in (ids, *composed.move((ids,), 7), torch.cat([started.expand(-1, 20, -1), stepped], dim=2)):
        assert (own > 0).all()
        assert ((own - own[..., :1]) == index[: own.shape[2]]).all()
    assert composed.place((ids,))[0].ids.indexes_tokens


def test_a_class_derived_from_sequential_does_not_index_tokens_by_itself() -> None:
    class Pairs(Sequential):
        def full(self, *arguments: Any) -> Int[Tensor, "1 #b n"]:
            return (super().full(*arguments) + 1) // 2

    assert indexes_tokens(Sequential())
    assert not indexes_tokens(Pairs())


def test_ids_of_the_card() -> None:
    # ^ 1 2 + 3 4 5 = 7 5 3 $
    assert ids_of(Sequential(), "reversed", 12, 345) == list(range(1, 13))
    assert ids_of(Abacus(DIGITS), "reversed", 12, 345) == [0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert ids_of(Coupled(DIGITS), "reversed", 12, 345) == [0, 3, 2, 1, 4, 3, 2, 1, 2, 3, 4, 0]
    assert ids_of(Sequential(12, origin="cyclic"), "reversed", 12, 345) == [9, 10, 11, 12, *range(1, 9)]


def test_columns_of_a_product_slide_with_the_loop() -> None:
    # ^ 2 1 * 4 3 = 8 0 4 0 $: 12 * 34 = 0408
    told = {
        Multiplicand(DIGITS): ([0, 2, 3, 0, 0, 0, 0, 2, 3, 4, 5, 0], [0, 1, 1] + [0] * 9),
        Multiplier(DIGITS): ([0, 0, 0, 0, 2, 3, 0, 2, 2, 2, 2, 0], [0] * 7 + [1] * 4 + [0]),
        # A token has the column that it predicts, the equals sign that of the units.
        Multiplicand(DIGITS, ahead=True): ([0, 2, 3, 0, 0, 0, 2, 3, 4, 5, 6, 0], [0, 1, 1] + [0] * 9),
        Multiplier(DIGITS, ahead=True): ([0, 0, 0, 0, 2, 3, 2, 2, 2, 2, 2, 0], [0] * 6 + [1] * 5 + [0]),
    }
    task, numbers = Multiplication(), tuple(Numbers.of([own]) for own in (12, 34))
    form = format_named("padded-all-reversed")
    written = form.write(task, Problems(numbers, task.solve(*numbers)), Draws.at(0, "train", 0, 1))
    line = as_batch(written, reading(form, 2), torch.tensor([0]), CPU, 32, tested=False)
    for scheme, (first, moves) in told.items():
        found = scheme.full(line.prompt, line.tokens, line.key, line.capacity)[:, 0].tolist()
        assert found == [first, moves], scheme


def test_coupled_ids_are_significance_in_every_order() -> None:
    assert ids_of(Coupled(DIGITS), "all-reversed", 12, 345) == [0, 2, 3, 1, 2, 3, 4, 1, 2, 3, 4, 0]
    # ^ 0 1 2 + 3 4 5 = 0 3 5 7 $
    assert ids_of(Coupled(DIGITS), "padded", 12, 345) == [0, 4, 3, 2, 1, 4, 3, 2, 1, 5, 4, 3, 2, 0]


def test_the_token_before_a_number_may_have_the_id_of_signs() -> None:
    scheme = Coupled(DIGITS, levels=2, leads=True)
    assert levels_of(scheme, "reversed", 12, 345) == [
        [1, 3, 2, 1, 4, 3, 2, 1, 2, 3, 4, 0],
        [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 0],
    ]
    # A space inside a number leads nothing; one before it does, and so does the prompt's last token.
    grouped = ids_of(Coupled(DIGITS, leads=True), "all-reversed+groups:size=1", 12, 34)
    assert grouped == [1, 2, 0, 3, 1, 2, 0, 3, 1, 2, 0, 3, 0]
    batch = data_of(Dialogue("seen"), "all-reversed", Uniform(2, 5)).batch(0, 8, CPU)
    in_text = scheme.full(batch.prompt, batch.tokens, batch.key, batch.capacity)[0]
    for tokens, ids in zip(batch.tokens, in_text, strict=True):
        text = "".join(vocabulary.SYMBOLS[token] for token in tokens)
        assert (ids == 1).nonzero()[:, 0].tolist() == [found.start() - 1 for found in re.finditer(r"\d+", text)]


def test_interleaved_digits_of_one_significance_share_their_id() -> None:
    # ^ + 0 3 1 4 2 5 = 7 5 3 0 $
    assert ids_of(Coupled(DIGITS), "interleaved-reversed", 12, 345) == [0, 1, 4, 4, 3, 3, 2, 2, 1, 2, 3, 4, 5, 0]
    assert ids_of(Abacus(DIGITS), "interleaved-all-reversed", 12, 345) == [0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3, 4, 0]


@pytest.mark.parametrize("scheme", OF_DIGITS, ids=str)
@pytest.mark.parametrize("base", ["padded", "all-reversed", "interleaved"])
@pytest.mark.parametrize("decoration", ["spaces:law=fixed,share=0.9,answer=true", "hints", "groups:size=2"])
def test_decorations_change_no_digits_id(scheme: Scheme, base: str, decoration: str) -> None:
    if base == "interleaved" and "groups" in decoration:
        pytest.skip("groups are of one number's digits")
    bare = data_of(Addition(), base, Uniform(1, 6)).batch(0, 50, CPU)
    decorated = data_of(Addition(), f"{base}+{decoration}", Uniform(1, 6)).batch(0, 50, CPU)
    expected, found = (scheme.full(b.prompt, b.tokens, b.key, LONGEST)[-1] for b in (bare, decorated))
    for row in range(50):
        added = decorated.prompt.table.kind[decorated.tokens[row]] == Kind.GAP
        assert added.any() or decoration.startswith("groups")
        if isinstance(scheme, Coupled) and scheme.leads:
            # The mark of a first digit stands before its number, so that it leads it in place of what stood there.
            in_bare, in_decorated = (b.prompt.table.kind[b.tokens[row]] == Kind.DIGIT for b in (bare, decorated))
            assert torch.equal(found[row][in_decorated], expected[row][in_bare])
            continue
        kept = found[row][~added]
        length = int(bare.length[row])
        assert torch.equal(kept[:length], expected[row, :length])
        assert not found[row][added].any()


def test_every_scheme_of_the_catalogue_is_tested_here() -> None:
    named = {SCHEMES_BY_NAME.load(name) for name in SCHEMES_BY_NAME.names() if not name.startswith("doctest")}
    assert named == {type(scheme) for scheme in SCHEMES}


def test_all_places_of_a_name_share_an_id() -> None:
    task = Lego(clauses=3)
    form = NAMED["plain"]
    (elements,) = (Numbers.read(["101"]),)
    written = form.write(task, Problems((elements,), task.solve(elements)), Draws.at(0, "train", 0, 1))
    line = as_batch(written, reading(form, 1), torch.tensor([0]), CPU, 32, tested=False)
    ids = Symbols().full(line.prompt, line.tokens, line.key, line.capacity)[0, 0].tolist()
    text = [vocabulary.SYMBOLS[token] for token in line.tokens[0].tolist()]
    assert len(text) == len(ids) == 17
    for one, own in zip(text, ids, strict=True):
        assert (own == 0) == (one in "0123456789=")
        assert all((one == other) == (own == its) for other, its in zip(text, ids, strict=True) if own and its)


def test_a_level_of_an_expression_has_one_id() -> None:
    line = "^3*(5+(5-2))+6=30$"
    tokens = torch.from_numpy(vocabulary.encode(line)).long()[None]
    whole = replace(line_of("plain", 1, 2).prompt, tokens=tokens, length=torch.tensor([15]))
    ids = Nesting().full(whole, tokens, torch.tensor([0]), 32)[0, 0].tolist()
    assert "".join(map(str, ids)) == "111222333332111111"
    unknown = replace(whole, table=replace(whole.table, nesting=None))
    assert Nesting().full(unknown, tokens, torch.tensor([0]), 32).unique().tolist() == [1]


def compatible(scheme: Scheme, name: str, task: Task) -> bool:
    form = format_named(name)
    try:
        form.check(task)
        scheme.check(reading(form, task.operands))
    except ValueError:
        return False
    return True


PAIRS = [(scheme, name) for scheme in SCHEMES for name in FORMATS if compatible(scheme, name, Addition())]
TRIPLES = [(s, name, task) for s in SCHEMES for name in FORMATS for task in TASKS if compatible(s, name, task)]
SPLITS: tuple[Split, ...] = ("train", "test")


def sampled(cases: list[tuple[Any, ...]]) -> list[Any]:
    """All cases, of which the fast tier runs so many that any two values that meet in a case meet in one of these."""
    columns = [list(dict.fromkeys(map(str, column))) for column in zip(*cases, strict=True)]
    places = [[column.index(str(value)) for column, value in zip(columns, case, strict=True)] for case in cases]
    # Along diagonals successive cases share no value, so that few cover all pairs.
    order = sorted(range(len(cases)), key=lambda index: (sum(places[index]) % len(columns[-1]), places[index]))
    marked, seen = {}, set()
    for index in order:
        pairs = set(itertools.combinations(enumerate(places[index]), 2))
        marked[index] = pytest.param(*cases[index], marks=() if pairs - seen else pytest.mark.slow)
        seen |= pairs
    return [marked[index] for index in range(len(cases))]


def test_the_sample_has_every_two_values_together() -> None:
    for cases in (TRIPLES, [(*pair, split) for pair in PAIRS for split in SPLITS]):
        fast = [case.values for case in sampled(cases) if not case.marks]
        for first, second in itertools.combinations(range(3), 2):
            whole, part = ({(str(case[first]), str(case[second])) for case in own} for own in (cases, fast))
            assert part == whole
        assert len(fast) < 1.2 * len(PAIRS), "or it is not worth its name"


def test_only_what_must_be_is_refused() -> None:
    refused = {name for name in FORMATS if not compatible(Coupled(DIGITS), name, Addition())}
    unpadded = {"plain", "plain+hints"}
    workings = {name for name in ADDED if format_named(name).working is not None}
    assert refused == unpadded | workings
    assert {name for name in FORMATS if not compatible(Abacus(DIGITS), name, Addition())} == {
        "padded-reversed+partial-products"
    }


@pytest.mark.parametrize(("scheme", "name", "task"), sampled(TRIPLES), ids=str)
def test_ids_step_by_step_are_those_of_the_full_sequence(scheme: Scheme, name: str, task: Task) -> None:
    data = data_of(task, name, Uniform(1, 5))
    for row in range(20):
        batch = data.batch(row, 1, CPU)
        assert batch.tokens.shape[1] <= LONGEST
        full = scheme.full(batch.prompt, batch.tokens, batch.key, LONGEST)
        cut = int(batch.prompt.length)
        prompt = type(batch.prompt)(**{**vars(batch.prompt), "tokens": batch.tokens[:, :cut]})
        ids, state = scheme.start(prompt, batch.key, LONGEST)
        parts = [ids]
        for token in batch.tokens[0, cut:]:
            ids, state = scheme.step(token[None], state)
            parts.append(ids)
        assert torch.equal(torch.cat(parts, dim=2), full)


@pytest.mark.parametrize(("scheme", "name"), PAIRS, ids=str)
def test_answer_ids_do_not_depend_on_the_answer_that_follows(scheme: Scheme, name: str) -> None:
    batch = data_of(Addition(), name, Uniform(1, 6)).batch(0, 64, CPU)
    before = scheme.full(batch.prompt, batch.tokens, batch.key, LONGEST)
    generator = torch.Generator().manual_seed(0)
    for later in range(1, 4):
        changed = batch.tokens.clone()
        index = torch.arange(changed.shape[1])
        follows = index >= batch.prompt.length[:, None] + later
        changed[follows] = torch.randint(0, len(vocabulary.SYMBOLS), (int(follows.sum()),), generator=generator)
        after = scheme.full(batch.prompt, changed, batch.key, LONGEST)
        kept = ~follows[None].expand_as(before) if len(before[0]) > 1 else slice(None)
        assert torch.equal(before[kept], after[kept])


@given(
    st.integers(0, 10**19),
    st.integers(0, 10**19),
    st.sampled_from(["reversed", "all-reversed", "padded", "padded-reversed"]),
)
@settings(max_examples=100, deadline=None)
def test_digits_of_one_significance_share_their_id(a: int, b: int, name: str) -> None:
    form = format_named(name)
    ids = ids_of(Coupled(DIGITS), name, a, b)
    text = form.text(Addition(), a, b)
    tokens = list(zip(text, ids[1:-1], strict=True))
    equals, plus = text.index("="), text.index("+")
    numbers = [tokens[:plus], tokens[plus + 1 : equals], tokens[equals + 1 :]]
    orders = [form.operands, form.operands, form.answer]
    for number, order in zip(numbers, orders, strict=True):
        from_units = number if order == "lsb" else number[::-1]
        assert [position for _, position in from_units] == list(range(2, 2 + len(number)))


@pytest.mark.parametrize(("scheme", "name", "split"), sampled([(*p, s) for p in PAIRS for s in SPLITS]), ids=str)
def test_ids_of_a_sample_do_not_depend_on_its_batch(scheme: Scheme, name: str, split: Split) -> None:
    data = data_of(Addition(), name, Uniform(1, 6), split)
    together = data.batch(0, 30, CPU)
    ids = scheme.full(together.prompt, together.tokens, together.key, together.capacity)
    for row in range(30):
        alone = data.batch(row, 1, CPU)
        expected = scheme.full(alone.prompt, alone.tokens, alone.key, alone.capacity)[:, 0]
        found = ids[:, row if ids.shape[1] > 1 else 0]
        assert torch.equal(found[:, : expected.shape[1]], expected)


@pytest.mark.parametrize(("scheme", "name"), PAIRS, ids=str)
def test_ids_go_up_to_the_highest_and_no_further(scheme: Scheme, name: str) -> None:
    data = data_of(Addition(), name, Uniform(1, 6))
    tokens, digits = data.format.longest(Addition(), 6)
    batch = data.batch(0, 500, CPU)
    assert data.longest == batch.capacity == tokens
    for level in scheme.full(batch.prompt, batch.tokens, batch.key, batch.capacity):
        assert 1 <= level.max() <= scheme.highest(tokens, digits)
        assert level.min() >= 0


@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_ids_step_by_step_are_those_of_the_full_sequence_whatever_is_written(scheme: Scheme, turns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    symbols = torch.tensor([vocabulary.token(symbol) for symbol in "12345+==  a$(())"])
    tokens = symbols[torch.randint(0, len(symbols), (300, 16), generator=generator)]
    line = line_of("reversed", 1, 2).prompt
    whole = replace(line, length=torch.full((300,), 7), reading=replace(line.reading, interleaved=turns))
    key = torch.arange(300)
    ids, state = scheme.start(replace(whole, tokens=tokens[:, :7]), key, 16)
    found = [ids.expand(-1, 300, -1)]
    for place in range(7, 16):
        ids, state = scheme.step(tokens[:, place], state)
        found.append(ids)
    full = scheme.full(replace(whole, tokens=tokens), tokens, key, 16)
    assert torch.equal(torch.cat(found, dim=2), full.expand(-1, 300, -1))


@pytest.mark.parametrize("origin", ORIGINS)
def test_highest_is_of_all_levels(origin: Origin) -> None:
    line = line_of("reversed", *range(1, 9)).prompt
    key = torch.arange(1000)
    prompt = replace(line, tokens=line.tokens.expand(1000, -1), length=line.length.expand(1000))
    few_digits = Coupled(2, origin=origin, span=4 if origin == "random" else None, levels=2, numbers=9)
    ids = few_digits.full(prompt, prompt.tokens, key, prompt.tokens.shape[1])
    assert few_digits.highest(99, 2) == ids.max() == ids[1].max()


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_states_are_reordered_by_row(scheme: Scheme) -> None:
    batch = data_of(Addition(), "padded-reversed", Uniform(4, 4)).batch(0, 6, CPU)
    cut = batch.shortest_prompt
    prompt = replace(batch.prompt, tokens=batch.tokens[:, :cut])
    _, state = scheme.start(prompt, batch.key, LONGEST)
    _, state = scheme.step(batch.tokens[:, cut], state)
    rows = torch.tensor([3, 0, 0, 5])
    expected, _ = scheme.step(batch.tokens[:, cut + 1], state)
    found, _ = scheme.step(batch.tokens[rows, cut + 1], type(state)(*(own[rows] for own in state)))
    assert torch.equal(found, expected[:, rows])


def test_cyclic_ids_are_all_used_equally_and_keep_their_order() -> None:
    scheme = Coupled(10, origin="cyclic")  # of the answer
    data = data_of(Addition(), "padded-reversed", Uniform(9, 9))
    batch = data.batch(0, 4000, CPU)
    ids = scheme.full(batch.prompt, batch.tokens, batch.key, LONGEST)[0]
    counts = torch.bincount(ids[ids > 0].flatten(), minlength=12)[1:].float()
    assert counts.max() / counts.min() < 1.15
    assert ids.max() <= scheme.highest(64, 10)


@pytest.mark.parametrize(
    "scheme", [Sequential(9, origin="cyclic"), Abacus(9, origin="cyclic"), Abacus(5, origin="cyclic")], ids=str
)
def test_ids_beyond_a_period_are_seen_to_be_too_large(scheme: Scheme) -> None:
    """Where they went round, an answer without an end would get the ids of its beginning again."""
    prompt, key = keyed(40)
    _, state = scheme.start(prompt, key, 9)
    highest, composed = scheme.highest(9, 5), Composed([Part(Learned(4, scheme.highest(9, 5)), scheme)])
    for digit in range(1, 14):
        ids, state = scheme.step(torch.ones(40, dtype=torch.long), state)
        count = digit + 5 if isinstance(scheme, Sequential) else digit  # after ^ 1 + 2 =
        beyond = composed.beyond((ids,))
        assert beyond is not None
        assert beyond.tolist() == [[count > highest]] * 40


@pytest.mark.parametrize(
    ("scheme", "token", "lowest", "starts"),
    [
        (Abacus(9, origin="random", span=50), 1, 1, 50),
        (Sequential(origin="random", span=50), 0, 1, 50),
        (Sequential(40, origin="cyclic"), 7, 1, 40),
        (Coupled(9, origin="random", span=50, levels=2), 1, 1, 50),
        (Coupled(9, origin="cyclic", levels=2, numbers=7), 1, 1, 7),
    ],
    ids=str,
)
def test_every_origin_is_as_likely_as_every_other(scheme: Scheme, token: int, lowest: int, starts: int) -> None:
    batch = data_of(Addition(), "all-reversed", Uniform(3, 3)).batch(0, 100 * starts, CPU)
    found = scheme.full(batch.prompt, batch.tokens, batch.key, batch.capacity)[-1, :, token]
    assert found.min() == lowest
    assert_uniform(torch.bincount(found - lowest, minlength=starts))


def assert_uniform(counts: Int[Tensor, " n"]) -> None:
    """Chi-squared within what happens by chance once in a million times."""
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 1e-6


def test_levels_draw_their_origins_apart() -> None:
    batch = data_of(Addition(), "padded-reversed", Uniform(3, 3)).batch(0, 6400, CPU)
    built = Coupled(9, origin="random", span=8, levels=2)
    significance, numbers = built.full(batch.prompt, batch.tokens, batch.key, batch.capacity)[:, :, 1] - torch.tensor(
        [[4], [1]]
    )
    assert_uniform(torch.bincount(8 * significance + numbers, minlength=64))


def test_coupled_and_abacus_draw_their_origins_apart() -> None:
    batch = data_of(Addition(), "padded-reversed", Uniform(3, 3)).batch(0, 6400, CPU)
    significance, places = (
        scheme.full(batch.prompt, batch.tokens, batch.key, batch.capacity)[0, :, 1]
        for scheme in (Coupled(9, origin="random", span=8), Abacus(9, origin="random", span=8))
    )
    assert_uniform(torch.bincount(8 * (significance - 4) + places - 1, minlength=64))


@pytest.mark.parametrize(
    "scheme",
    [
        Sequential(60, origin="random", tested="fixed"),
        Sequential(60, origin="cyclic", tested="fixed"),
        Abacus(9, origin="random", tested="fixed"),
        Coupled(9, origin="cyclic", tested="fixed"),
        Coupled(9, origin="random", levels=2, tested="fixed"),
        CAPE(tested="fixed"),
    ],
    ids=str,
)
def test_chance_is_switched_off_in_tests_alone(scheme: Scheme) -> None:
    drawing = replace(scheme, tested="random")  # type: ignore[type-var]
    fixed = (
        replace(drawing, shift=10, jitter=1, scale=1) if isinstance(scheme, CAPE) else replace(drawing, origin="fixed")
    )
    for split in ("train", "validation", "test"):
        batch = data_of(Addition(), "padded-reversed", Uniform(3, 3), split).batch(0, 40, CPU)  # type: ignore[arg-type]
        line = batch.prompt, batch.tokens, batch.key, batch.capacity
        ids, drawn_ids = scheme.full(*line), drawing.full(*line)
        assert not torch.equal(ids[:, :1].expand_as(drawn_ids), drawn_ids) or split == "train"
        if split == "train":
            assert torch.equal(ids, drawn_ids)
        elif isinstance(scheme, CAPE):
            assert (ids == 100 * torch.arange(1, ids.shape[2] + 1) + 550).all()  # as the paper's mean, 5.5 further on
        else:
            assert torch.equal(ids, fixed.full(*line).expand_as(ids))
        cut = batch.shortest_prompt
        prompt = replace(batch.prompt, tokens=batch.tokens[:, :cut])
        _, state = scheme.start(prompt, batch.key, batch.capacity)
        stepped, _ = scheme.step(batch.tokens[:, cut], state)
        assert torch.equal(stepped[..., 0], ids[..., cut])


def test_sequential_and_abacus_draw_their_origins_apart() -> None:
    batch = data_of(Addition(), "padded-reversed", Uniform(3, 3)).batch(0, 6400, CPU)
    of_tokens, of_digits = (
        scheme.full(batch.prompt, batch.tokens, batch.key, batch.capacity)[0, :, 1]
        for scheme in (Sequential(origin="random", span=8), Abacus(9, origin="random", span=8))
    )
    assert_uniform(torch.bincount(8 * (of_tokens - 2) + of_digits - 1, minlength=64))


def test_coupled_levels_are_significance_and_number() -> None:
    two = Coupled(DIGITS, levels=2, numbers=4)
    assert levels_of(two, "reversed", 12, 345)[0] == ids_of(Coupled(DIGITS), "reversed", 12, 345)
    assert levels_of(two, "reversed", 12, 345)[1] == [0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 0]
    # ^ 1 + 2 + 3 = 6 $
    assert levels_of(two, "reversed", 1, 2, 3)[1] == [0, 1, 2, 2, 3, 3, 4, 4, 0]
    # ^ + 0 3 1 4 2 5 = 7 5 3 0 $
    assert levels_of(two, "interleaved-reversed", 12, 345)[1] == [0, 1, 1, 2, 1, 2, 1, 2, 3, 3, 3, 3, 3, 0]


def test_segments_are_numbers_signs_and_runs_of_words() -> None:
    assert ids_of(Segments(), "reversed", 12, 345) == [1, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7]
    assert ids_of(Segments(), "interleaved-reversed", 12, 345) == [1, 2, 3, 4, 3, 4, 3, 4, 5, 6, 6, 6, 6, 7]
    line = line_of("reversed", 12, 345)
    tokens = torch.tensor([[vocabulary.token(symbol) for symbol in "^12+345==--7 5ab c1$"]])
    ids = Segments().full(line.prompt, tokens, line.key, 99)[0, 0].tolist()
    assert ids == [1, 2, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9, 0, 9, 10, 10, 0, 10, 11, 12]
    dialogue = data_of(Dialogue("seen"), "plain", Uniform(2, 2)).batch(0, 5, CPU)
    ids = Segments().full(dialogue.prompt, dialogue.tokens, dialogue.key, dialogue.capacity)[0]
    for row in range(5):
        text = "".join(vocabulary.SYMBOLS[token] for token in dialogue.tokens[row])
        runs = [(run.start(), run.end()) for run in re.finditer("[0-9]+|[^0-9]+", text)]
        kept = ids[row] > 0
        for count, (start, end) in enumerate(runs, start=1):
            assert (ids[row, start:end][kept[start:end]] == count).all()


def keyed(count: int, tested: bool = False) -> tuple[Prompt, Tensor]:
    """A prompt of each sample, and its key."""
    key = torch.from_numpy(sample_keys(0, "train", 0, count))
    line = line_of("reversed", 1, 2)
    tokens = line.tokens[:, : line.shortest_prompt].expand(count, -1)
    return replace(line.prompt, tokens=tokens, length=line.prompt.length.expand(count), tested=tested), key


def drawn(scheme: Scheme, capacity: int, count: int, tested: bool = False) -> Int[Tensor, "b capacity"]:
    """All ids that sequences may get."""
    prompt, key = keyed(count, tested)
    return scheme.full(prompt, torch.zeros(count, capacity, dtype=torch.long), key, capacity)[0]


def test_randomized_ids_are_an_ascending_sample_every_one_as_likely() -> None:
    ids = drawn(Randomized(span=6), 3, 20_000)
    assert (ids.diff(dim=1) > 0).all()
    assert ids.min() == 1
    assert ids.max() == 6
    subsets = (2 ** (ids - 1)).sum(1)
    found, counts = subsets.unique(return_counts=True)
    assert len(found) == math.comb(6, 3)
    assert_uniform(counts)


def test_randomized_ids_use_a_long_span_evenly() -> None:
    ids = drawn(Randomized(span=2048), 64, 4096)
    assert (ids.diff(dim=1) > 0).all()
    counts = torch.bincount(ids.flatten(), minlength=2049)
    assert counts[0] == 0
    assert counts.shape == (2049,)
    assert_uniform(counts[1:])


def test_large_batches_are_drawn_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(Randomized(span=100), 10, 50)
    monkeypatch.setattr("arith.encodings.draws._AT_ONCE", 300)
    assert torch.equal(drawn(Randomized(span=100), 10, 50), whole)


@given(st.integers(1, 60), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_even_ids_are_spread_and_those_of_all_samples(capacity: int, more: int) -> None:
    span = capacity + more
    ids = drawn(Randomized(span=span, tested="even"), capacity, 4, tested=True)
    assert len(ids) == 1
    gaps = torch.cat([torch.tensor([0]), ids[0], torch.tensor([span + 1])]).diff()
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_what_tests_draw_is_said() -> None:
    scheme = Randomized(span=90)
    assert torch.equal(drawn(scheme, 9, 5, tested=True), drawn(scheme, 9, 5))
    even = Randomized(span=90, tested="even")
    assert torch.equal(drawn(even, 9, 5), drawn(scheme, 9, 5))
    assert drawn(even, 9, 5, tested=True).tolist() == [[9, 18, 27, 36, 45, 54, 63, 72, 81]]
    assert drawn(PoSE(tokens=90), 9, 5, tested=True).tolist() == [list(range(1, 10))]


def test_splits_say_whether_they_are_tests() -> None:
    for split, tested in (("train", False), ("validation", True), ("test", True)):
        data = data_of(Addition(), "plain", Uniform(1, 3), split)  # type: ignore[arg-type]
        assert data.batch(0, 2, CPU).prompt.tested == tested


@pytest.mark.parametrize("chunks", [2, 3, 5])
def test_pose_skips_between_chunks_only(chunks: int) -> None:
    ids = drawn(PoSE(tokens=60, chunks=chunks), 12, 5000)
    assert (ids[:, 0] == 1).all()
    assert ids.max() == 60
    steps = ids.diff(dim=1)
    assert steps.min() == 1
    skips = (steps > 1).sum(1)
    assert skips.max() == chunks - 1
    assert (skips == chunks - 1).float().mean() > 0.4
    assert (steps[skips == chunks - 1] > 1).any(0).all(), "chunks are cut everywhere"


def test_pose_skips_and_cuts_are_uniform() -> None:
    ids = drawn(PoSE(tokens=60), 12, 49_000)
    assert_uniform(torch.bincount(ids[:, -1] - 12))
    skipping = ids[ids[:, -1] > 12]
    assert_uniform(torch.bincount((skipping.diff(dim=1) > 1).long().argmax(1), minlength=11))


def test_pose_has_no_skip_where_there_is_no_room() -> None:
    assert (drawn(PoSE(tokens=9), 9, 3) == torch.arange(1, 10)).all()
    assert drawn(PoSE(tokens=9, chunks=5), 1, 3).tolist() == [[1]]


@pytest.mark.parametrize("scheme", [Randomized(span=9), PoSE(tokens=20, span=9)], ids=str)
def test_spans_that_are_too_short_are_refused(scheme: Scheme) -> None:
    message = "ids from 1 to 9, too few for sequences of 10 tokens. Write span=10 or more"
    with pytest.raises(ValueError, match=message):
        scheme.highest(10, 3)
    with pytest.raises(ValueError, match=message):
        drawn(scheme, 10, 2)
    assert scheme.highest(9, 3) == 9


@pytest.mark.parametrize("scheme", [Sequential(9), Randomized(span=9), PoSE(tokens=9)], ids=str)
def test_answers_without_an_end_go_on_beyond_all_ids(scheme: Scheme) -> None:
    prompt, key = keyed(3)
    ids, state = scheme.start(prompt, key, 9)
    found = [ids]
    for _ in range(8):
        ids, state = scheme.step(torch.ones(3, dtype=torch.long), state)
        found.append(ids)
    ids = torch.cat([own.expand(1, 3, -1) for own in found], dim=2)
    assert (ids.diff(dim=2) > 0).all()
    assert ids[0, :, -1].tolist() == [13] * 3


def test_coupled_digits_beyond_the_width_of_an_answer_stay_at_the_units() -> None:
    line, scheme = line_of("padded", 12, 34), Coupled(DIGITS)
    cut = int(line.prompt.length)
    tokens = torch.cat([line.tokens[:, : cut + 3], line.tokens[:, cut : cut + 3]], dim=1)  # ^12+34=046046
    placed = scheme.full(line.prompt, tokens, line.key, 32)
    assert placed[0, 0].tolist() == [0, 3, 2, 1, 3, 2, 1, 4, 3, 2, 2, 2, 2]
    _, state = scheme.start(replace(line.prompt, tokens=tokens[:, :cut]), line.key, 32)
    for place in range(cut, cut + 6):
        ids, state = scheme.step(tokens[:, place], state)
        assert torch.equal(ids, placed[..., place : place + 1])


def test_coupled_refuses_an_unpadded_answer_from_the_top() -> None:
    with pytest.raises(ValueError, match="coupled positions need an answer of known width"):
        Coupled(9).check(reading(NAMED["plain"], 2))
    with pytest.raises(ValueError, match="which a step's place among others does not tell"):
        Coupled(9).check(reading(format_named("reversed+scratchpad"), 2))


def test_cyclic_ids_refuse_longer_numbers_than_they_tell_apart() -> None:
    with pytest.raises(ValueError, match="tell apart numbers up to 9 digits, not 10"):
        Coupled(9, origin="cyclic").highest(64, 10)


def test_unknown_origins_are_refused() -> None:
    with pytest.raises(ValueError, match="fixed, random or cyclic, got 'cyclical'"):
        Abacus(9, origin="cyclical")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fixed, random or cyclic, got 'no'"):
        Sequential(9, origin="no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sequential(origin="random", span=0), "span is 1 or more, got 0"),
        (lambda: Sequential(span=5), "span is of a random origin, and the origin is fixed"),
        (lambda: Coupled(9, tested="no"), "tested is random or fixed, got 'no'"),  # type: ignore[arg-type]
        (lambda: CAPE(tested="no"), "tested is random or fixed, got 'no'"),  # type: ignore[arg-type]
        (lambda: Sequential(9, origin="cyclic").highest(10, 3), "tell apart sequences up to 9 tokens, not 10"),
        (lambda: Coupled(9, levels=3), "have 1 level, significance, or 2, with the number; got 3"),
        (lambda: Coupled(9, levels=2, numbers=1), "2 or more, the answer included; got 1"),
        (lambda: Randomized(tested="odd"), "tested is random or even, got 'odd'"),  # type: ignore[arg-type]
        (lambda: PoSE(tokens=9, chunks=1), "2 or more, got 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_two_levels_refuse_more_numbers_than_they_place() -> None:
    with pytest.raises(ValueError, match=r"made for 3 numbers .* this task has 4.\nWrite coupled:levels=2,numbers=4"):
        Coupled(9, levels=2).check(reading(NAMED["padded"], 3))
    Coupled(9, levels=2, numbers=4).check(reading(NAMED["padded"], 3))
    Coupled(9).check(reading(NAMED["padded"], 3))
