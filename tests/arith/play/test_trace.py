"""A problem taken through a model is what the model does."""

import json
from pathlib import Path

import pytest
import torch

from arith.config.schema import RunConfig
from arith.data.typed import example_problem
from arith.errors import RunError, UsageError
from arith.evaluation.answers import ask
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.model.transformer import Transformer
from arith.play.changes import compare
from arith.play.digits import try_digits
from arith.play.trace import trace
from arith.tasks import vocabulary


def load(name: str) -> tuple[Experiment, Transformer]:
    run = open_model(Path(name))
    experiment = Experiment.of(run.config)
    return experiment, run.load_model(experiment)[0]


def untrained(encoding: str, **values: object) -> tuple[Experiment, Transformer]:
    config = {"encoding": encoding, "evaluation": {"digits": "4"}, "model": {"layers": 2}}
    experiment = Experiment.of(RunConfig.of(config | values))
    return experiment, experiment.model().eval()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("addition", "123+456"), ("multiplication", "12*345"), ("multiplication-answers", "99*98")],
)
def test_answers_are_those_of_arith_ask(name: str, problem: str) -> None:
    (reply,) = ask(Path(name), [problem])
    found = trace(*load(name), problem)
    shown = found.as_dict()
    assert (shown["answer"], shown["result"], shown["right"]) == (reply.answer, reply.result, reply.right)
    assert "".join(own["token"] for own in shown["reply"]) == reply.written
    assert "".join(shown["tokens"]) == "^" + reply.prompt + reply.written[:-1]
    assert shown["at_once"] == (name == "multiplication")  # the looped one
    # Greedy decoding takes the likeliest token each time.
    assert all(own["top"][0] == [own["token"], own["probability"]] for own in shown["reply"])
    json.dumps(shown, allow_nan=False)


@pytest.mark.parametrize("encoding", ["rope", "learned", "t5@abacus", "learned@abacus+t5"])
def test_wrong_answers_are_decoded_and_the_first_wrong_token_is_named(encoding: str) -> None:
    experiment, model = untrained(encoding)
    found = trace(experiment, model, "95+17")
    assert not found.right
    place = found.first_wrong
    assert place is not None
    assert found.written[:place] == found.expected[:place]
    assert found.written[place : place + 1] != found.expected[place : place + 1]
    # One token after the other, each from all before it.
    for at in range(len(found.written)):
        so_far = found.tokens[None, : found.prompt + at]
        ids = tuple(own.levels[:, None, : so_far.shape[1]] for own in found.ids)
        own = model(so_far, ids)[0, -1].double().softmax(-1)
        torch.testing.assert_close(own, found.probabilities[at], atol=1e-5, rtol=0)
        assert int(own.argmax()) == found.written[at]


def test_ids_are_named_as_in_the_text_of_the_encoding() -> None:
    found = trace(*untrained("(relative:radius=1+window:left=1,right=1)@coupled+t5", format="padded-reversed"), "12+34")
    first, second = found.ids
    assert (first.scheme, first.used_by) == ("coupled", ("relative:radius=1", "window:left=1,right=1"))
    assert (second.scheme, second.used_by) == ("sequential", ("t5",))
    # ^ 1 2 + 3 4 = and the answer's columns.
    assert first.levels[0, :7].tolist() == [0, 3, 2, 1, 3, 2, 1]
    assert second.levels[0].tolist() == [*range(1, len(found.tokens) + 1)]
    assert trace(*untrained("nope"), "1+2").ids == ()


def test_heads_are_rows_of_weights_and_biases() -> None:
    experiment, model = untrained("alibi")
    found = trace(experiment, model, "1+2")
    for place in range(2):
        for number, head in enumerate(found.heads(place), 1):
            assert [len(row) for row in head["weights"]] == [*range(1, len(found.tokens) + 1)]
            assert all(abs(sum(row) - 1) < 0.01 for row in head["weights"])
            slope = 2 ** (-8 * number / experiment.config.model.heads)
            assert head["bias"][3] == [round(-slope * away, 3) for away in (3, 2, 1, 0)]
    # Rotations add nothing to a score.
    assert [head["bias"] for head in trace(*untrained("rope"), "1+2").heads(0)] == [None] * 4


def test_keys_that_an_encoding_hides_have_no_bias() -> None:
    # ^ 1 2 3 4 + 5 6 7 with coupled ids 0 5 4 3 2 1 5 4 3: 7 sees ids 2, 3 and 4, and what has no position.
    row = trace(*load("addition"), "1234+5678").heads(0)[0]["bias"][8]
    assert [at for at, value in enumerate(row) if value is None] == [1, 5, 6]


def test_what_cannot_be_shown_is_refused() -> None:
    experiment, model = untrained("rope")
    with pytest.raises(UsageError, match="ask addition for problems such as"):
        trace(experiment, model, "12*3")
    with pytest.raises(UsageError, match="up to 120 tokens are shown, and this takes"):
        trace(experiment, model, f"{'9' * 60}+1")
    in_place = {"task": "lego:clauses=3,asked=each", "format": "plain", "evaluation": {"digits": "3"}}
    in_place |= {"data": {"digits": "1-3"}, "model": {"layers": 1, "attention": "full"}}
    with pytest.raises(UsageError, match="continues no prompt"):
        trace(*untrained("relative", **in_place), "101")
    model.head.weight.data.fill_(torch.nan)
    with pytest.raises(RunError, match="are no numbers"):
        trace(experiment, model, "1+2")


def test_a_model_that_never_ends_its_number_is_shown() -> None:
    settings = {"format": "reversed+groups:size=1", "data": {"digits": "1-2"}, "evaluation": {"digits": "2"}}
    experiment, model = untrained("learned@abacus", **settings)
    digit = vocabulary.token("7")
    model.head.weight.data[digit] *= 1000  # whatever sign it has, digits or other tokens follow without an end
    shown = trace(experiment, model, "12+34").as_dict()
    assert len(shown["reply"]) >= 1
    assert not shown["right"]


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("dape", {}),
        ("forgetting", {}),
        ("t5@coupled:levels=2", {}),
        ("rope", {"model": {"layers": 2, "loops": 3, "loop_input": "both", "mixing": "conv", "sharpen": "log-n"}}),
        ("learned@randomized:span=64", {"format": "reversed+spaces"}),
        ("rope[0]+t5@abacus[1]", {"format": "plain+scratchpad"}),
        ("rope", {"task": "dialogue:talk=short", "format": "plain"}),
        ("rope", {"task": "expression", "format": "plain"}),
    ],
)
def test_every_kind_of_model_and_format_is_plain_data(encoding: str, values: dict[str, object]) -> None:
    experiment, model = untrained(encoding, **values)
    problem = example_problem(experiment.tests.task)
    found = trace(experiment, model, problem)
    shown = found.as_dict()
    assert len(shown["reply"]) == len(found.tokens) - found.prompt + 1
    heads = [found.heads(place) for place in range(len(found.layers))]
    assert all(len(head["weights"]) == len(found.tokens) for layer in heads for head in layer)
    json.dumps([shown, heads, compare(found, found)], allow_nan=False)  # raises at what is no number
    assert sum(try_digits(experiment, model, problem).tried) > 0
