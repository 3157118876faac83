"""What cannot be is refused before any work."""

import pytest

from arith.catalogue.build import encoding
from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment.checks import check_attention
from arith.experiment.experiment import Experiment

COLUMNS = {"task": "multiplication", "format": "padded-reversed", "trace": {"kind": "carry-save"}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "additoin"}, "no task is called 'additoin'. Did you mean 'addition'"),
        ({"format": "padded-reversd"}, "Did you mean 'padded-reversed'"),
        ({"format": "padded:width=3"}, "operand of 20 digits does not fit the format's width of 3"),
        ({"format": "plain", "encoding": "coupled"}, "and format 'plain' does not pad it"),
        ({"encoding": "learned:highest=9"}, "has no setting 'highest'"),
        ({"evaluation": {"suites": "chains"}}, "no test suite is called 'chains'. Did you mean 'chain'"),
        ({"data": {"carry_mix": 1.5}}, "carry_mix is a share between 0 and 1"),
        ({"model": {"heads": 3}}, "a model's width is a multiple of its heads"),
        ({"model": {"hidden": 10**18}}, "model.hidden is 1,048,576 at most"),
        ({"model": {"layers": 10**9}}, "model.layers is 10,000 at most"),
        ({"model": {"key_heads": 3}}, "model.heads is a multiple of model.key_heads"),
        ({"training": {"steps": 0}}, "training.steps is 1 or more, got 0"),
        (
            {"data": {"schedule": 900, "first_digits": "1", "samples": 1280}, "training": {"steps": 11, "batch": 128}},
            "train 10 steps of 128 or fewer",
        ),
        ({"training": {"learning_rate": 0.0}}, "learning_rate is above 0"),
        ({"evaluation": {"digits": "0"}}, "1 digit or more"),
        ({"data": {"digits": [0, 4]}}, "1 digit or more"),
        ({"evaluation": {"digits": [0, 5]}}, "evaluation.digits is 1 or more, got (0, 5)"),
        ({"evaluation": {"digits": []}}, "and is empty"),
        (
            {"task": "reverse", "format": "plain", "evaluation": {"suites": ["nines"]}, "encoding": "rope"},
            "for two numbers",
        ),
        ({"task": "reverse", "encoding": "rope"}, "padding adds zeros, and reverse takes them for digits"),
        ({"task": "copy:distinct=true", "format": "plain", "encoding": "rope"}, "has no 20"),
        (
            {"task": "copy", "format": "plain", "encoding": "rope", "data": {"carry_mix": 0.5}},
            "is for additions of two numbers",
        ),
        ({"data": {"uniform": "values", "carry_mix": 0.5}}, "is for operands drawn uniformly over lengths"),
        ({"data": {"uniform": "values", "digits": "2-4"}}, "uniform over values have 1 digit and more"),
        ({"data": {"uniform": "even"}}, "data.uniform is one of lengths, values, covering; got 'even'"),
        ({"task": "subtraction", "data": {"uniform": "covering"}}, "for additions of two numbers, not for subtraction"),
        (
            {"format": "plain", "encoding": "rope", "data": {"mix": ["20% addition reversed"]}},
            "as plain and plain+detailed: got plain, reversed",
        ),
        ({"data": {"mix": ["20% addition padded-reversed+detailed"]}}, "a step's place among others does not tell"),
        (
            {
                "encoding": "pretrained",
                "model": {"init": "hf:nowhere"},
                "format": "plain",
                "data": {"mix": ["20% addition plain+spaces"]},
            },
            "a pretrained model's samples are spaced alike",
        ),
        (
            {
                "format": "padded-reversed:width=20",
                "encoding": "rope",
                "model": {"layers": 2, "prompt_layers": 1},
                "data": {"mix": ["20% addition padded-reversed:width=20"]},
            },
            "leave other tasks and formats in data.mix",
        ),
        ({"task": "addition:operands=1"}, "a sum has 2 operands or more"),
        ({"data": {"seed": -1}}, "data.seed: a seed is an integer from 0"),
        ({"training": {"evaluate_samples": 0}}, "training.evaluate_samples is 1 or more"),
        ({"training": {"betas": [0.9, 1.5]}}, "training.betas is 0 or more and below 1"),
        ({"model": {"hidden": 0}}, "model.hidden is 1 or more"),
        (
            {"training": {"freeze": ["embeding"]}},
            "training.freeze is one of embedding, blocks, head; got 'embeding'. Did you mean 'embedding'",
        ),
        (
            {"training": {"freeze": "head,embedding,blocks"}},
            "nothing is left to train: name one or two of embedding, blocks, head",
        ),
        ({"training": {"freeze": "blocks", "optimizer": "muon"}}, "use training.optimizer=adamw or sgd, or freeze"),
        ({"training": {"warmup": -5}}, "training.warmup is 0 or more, got -5"),
        ({"training": {"clip": -1.0}}, "training.clip is above 0"),
        ({"encoding": "rope:base=-3"}, "rope's base is above 0"),
        ({"task": "subtraction", "evaluation": {"suites": ["chain"]}}, "additions of two numbers, not for subtraction"),
        ({"task": "addition:operands=2.5"}, "is a whole number, got '2.5'"),
        ({"encoding": "relative:radius=-5"}, "radius is a distance of 1 or more"),
        (
            {"format": "padded:width=20", "data": {"schedule": 9, "first_digits": "1-25"}},
            "operand of 25 digits does not fit the format's width of 20",
        ),
        ({"data": {"redraw": True}}, "data.redraw is of a fixed set"),
        ({"data": {"renumber": True}}, "data.renumber is of a fixed set"),
        ({"data": {"samples": 0}}, "a fixed set has 1 sample or more"),
        (
            {"format": "interleaved", "data": {"mix": "50% addition:operands=3"}},
            "interleaved operands have as many of them as one another",
        ),
        ({"format": "plain+groups:size=0"}, "a group has 1 to 1,000 digits"),
        ({"format": "plain+hints+spaces"}, "a format has one decoration"),
        ({"format": "plain+scratchpad", "task": "copy"}, "columns of sums and differences, not for copy"),
        ({"format": "plain+scratchpad", "encoding": "coupled"}, "which a step's place among others does not tell"),
        ({"model": {"sharpen": 0}}, "model.sharpen is above 0, got 0.0"),
        ({"evaluation": {"sharpen": -1.4}}, "evaluation.sharpen is above 0, got -1.4"),
        ({"evaluation": {"sharpen": float("inf")}}, "evaluation.sharpen is above 0, got inf"),
        ({"auxiliary": {"layer": 9}}, "fewer than the model's. Got 9, with model.layers 1"),
        ({"encoding": "learned:std=-1"}, "std is 0 or more"),
        ({"model": {"attention": "ful"}}, "model.attention"),
        ({"model": {"loops": "0-4"}}, "model.loops is 1 or more, got (0, 4)"),
        ({"model": {"loops": 0}}, "model.loops is 1 or more, got 0"),
        ({"model": {"loops": "2-20000"}}, "model.loops is 10,000 at most, got 20,000"),
        ({"model": {"loops": 2}, "evaluation": {"loops": 20_000}}, "evaluation.loops is 10,000 at most, got 20,000"),
        ({"model": {"loops": 2}, "evaluation": {"loops": 0}}, "evaluation.loops is 1 or more, got 0"),
        ({"evaluation": {"loops": 3}}, "and this model has one loop: set model.loops, or leave it out. Got 3"),
        ({**COLUMNS, "encoding": "sliding-window", "evaluation": {"loops": 3}}, "with trace.kind each problem says"),
        ({**COLUMNS, "encoding": "sliding-window", "model": {"loops": "2-3"}}, "leave model.loops at 1"),
        ({"auxiliary": {"kind": "running-sum"}, "model": {"loops": "2-3", "layers": 2}}, "got 2 to 3"),
        (
            {**COLUMNS, "encoding": "fire@multiplicand", "trace": {}, "model": {"loops": 41}},
            "are encoded as far as numbers of 40 digits take them: got 41 loops",
        ),
        (
            {"model": {"loops": "2-3", "loop_input": "embeddings", "layers": 2, "looped": 1}, "encoding": "rope"},
            "each loop adds its part of one sum",
        ),
        (
            {"model": {"loops": "2-3"}, "encoding": "sliding-window", **COLUMNS, "trace": {}},
            "ids of 'sliding-window' slide with the loop, so that each loop reads a digit of its own, and none is left "
            "out. model.loops is a number there, not a range that is drawn from: got 2-3",
        ),
        ({"model": {"attention": "full"}}, "would read the answer that it is to give"),
        ({"model": {"attention": "full", "layers": 2}, "auxiliary": {"kind": "running-sum"}}, "token by token"),
        ({**COLUMNS, "model": {"attention": "full"}, "encoding": "t5@multiplicand+cope"}, "CoPE counts from a token"),
        (
            {**COLUMNS, "model": {"attention": "full"}, "encoding": "sliding-window+forgetting[0]"},
            "Forgetting counts from a token back to those before it",
        ),
        ({"evaluation": {"task": "copy"}}, "padding adds zeros, and copy takes them for digits"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        Experiment.of(RunConfig.of(values))
    assert message in str(raised.value)


def test_what_hides_tokens_is_no_full_attention() -> None:
    config = RunConfig.of({"model": {"attention": "full", "layers": 2, "prompt_layers": 1}})
    encoded = encoding("rope", width=64, heads=4, layers=2)
    with pytest.raises(UsageError, match=r"model\.attention=full shows a token all others: leave it out, got 1"):
        check_attention(config.model, encoded, answers_at_once=True)
