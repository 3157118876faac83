"""One problem through one model: tokens, position ids, each answer token with its probabilities, what heads attend to.

What is shown is the model's own answer, read back in one pass: that a pass gives the same tokens as decoding one by
one is a promise that every model keeps.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.catalogue.spec import parse
from arith.data.typed import TypedProblem, write_typed
from arith.encodings.compose import Composed, Ids
from arith.errors import RunError, UsageError
from arith.evaluation.answers import read_number
from arith.evaluation.attention import MOST, LayerInput, watch_layers
from arith.experiment.experiment import Experiment
from arith.model.transformer import Transformer
from arith.tasks import vocabulary

TOP = 5  # tokens that are shown for each place of the answer
CPU = torch.device("cpu")


@dataclass(frozen=True)
class SchemeIds:
    """The position ids of one scheme.

    Args:
        scheme: its name and settings, as in the text of an encoding.
        used_by: the encodings that act by these ids.
        slides: whether the second level is what every loop adds to the first.
        levels: the ids of each token, level by level.
    """

    scheme: str
    used_by: tuple[str, ...]
    slides: bool
    levels: Int[Tensor, "levels n"]


@dataclass(frozen=True)
class Trace:
    """What a model does with one problem.

    Args:
        problem: the problem as it was typed.
        result: the right answer, a decimal number.
        answer: the number that the model's answer means; None if it is none.
        prompt: how many tokens the prompt has.
        tokens: the tokens that the model reads: the prompt, and its answer but for the last token.
        ids: their position ids.
        written: the tokens of its answer, most of them digits, the end mark included.
        expected: the tokens of the right answer.
        probabilities: the probability of every token at each place of the answer.
        layers: what each layer was given, from which attention is computed.
        answer_first: which digit of an answer is written first.
        causal: whether a token attends to itself and earlier tokens alone.
        at_once: whether all of an answer is worked out at the same time, each digit in its own place and none of them
            read; if not, each token is predicted at the one before it.
    """

    problem: str
    result: str
    answer: str | None
    prompt: int
    tokens: Int[Tensor, " n"]
    ids: tuple[SchemeIds, ...]
    written: tuple[int, ...]
    expected: tuple[int, ...]
    probabilities: Float[Tensor, "a v"]
    layers: tuple[LayerInput, ...]
    answer_first: str
    causal: bool
    at_once: bool

    @property
    def right(self) -> bool:
        return self.written[: len(self.expected)] == self.expected

    @property
    def first_wrong(self) -> int | None:
        """The place in the answer of the first wrong token; None if there is none."""
        if self.right:
            return None
        same = [own == right for own, right in zip(self.written, self.expected, strict=False)]
        return same.index(False) if False in same else len(same)

    def as_dict(self) -> dict[str, Any]:
        """As plain data, without what heads do."""
        return {
            "problem": self.problem,
            "result": self.result,
            "answer": self.answer,
            "right": self.right,
            "first_wrong": self.first_wrong,
            "answer_first": self.answer_first,
            "prompt": self.prompt,
            "tokens": [vocabulary.SYMBOLS[token] for token in self.tokens.tolist()],
            "ids": [{**dataclasses.asdict(own), "levels": own.levels.tolist()} for own in self.ids],
            "expected": [vocabulary.SYMBOLS[token] for token in self.expected],
            "reply": [self._reply(place) for place in range(len(self.written))],
            "passes": [{"loop": own.loop, "layer": own.layer, "looks_up": own.looks_up} for own in self.layers],
            "causal": self.causal,
            "at_once": self.at_once,
        }

    def _reply(self, place: int) -> dict[str, Any]:
        own = self.probabilities[place]
        best = own.topk(min(TOP, len(own)))
        top = [
            [vocabulary.SYMBOLS[token], value]
            for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        token = self.written[place]
        return {"token": vocabulary.SYMBOLS[token], "probability": float(own[token]), "top": top}

    def heads(self, place: int) -> list[dict[str, Any]]:
        """What each head of one layer does: by query and key its weights, and the bias of its scores.

        Keys that no query of a causal model sees are left out. A bias is None where a key is hidden; of a layer that
        looks up, and of one whose encoding adds nothing and hides nothing, there is none.

        Args:
            place: the layer, in the order in which layers run.
        """
        layer = self.layers[place]
        weights, bias = layer.weights()[0], layer.bias()
        shown: list[list[list[float | None]] | None] = [None] * len(weights)
        if bias is not None and _says_something(bias[0], self.causal):
            shown = [_rows(own, self.causal) for own in bias[0]]
        return [{"weights": _rows(own, self.causal), "bias": added} for own, added in zip(weights, shown, strict=True)]


def trace(experiment: Experiment, model: Transformer, problem: str) -> Trace:
    """Take a problem through a model.

    Args:
        experiment: the experiment of the model.
        model: the model, in evaluation mode.
        problem: the problem as a person types it, such as 123+456.

    Raises:
        UsageError: it is not a problem of the tested task, it is too long to be shown, or the model continues no
            prompt.
        RunError: the model puts out no numbers.
    """
    task, form = experiment.tests.task, experiment.tests.format
    typed = write_typed(problem, task, form, experiment.config.evaluation.seed, model.encoding)
    if typed.tokens > MOST:
        raise UsageError(f"{problem:.40}: up to {MOST} tokens are shown, and this takes {typed.tokens}. Ask arith ask")
    written, tokens, ids, layers, logits = _read_answer(model, typed, form.longest_answer(task, typed.digits))
    if not bool(logits.isfinite().all()):
        raise RunError(f"{problem:.40}: the model's outputs are no numbers, as its training diverged")
    reply = "".join(vocabulary.SYMBOLS[token] for token in written)
    line, cut = typed.written, typed.cut
    return Trace(
        problem=problem,
        result=typed.result,
        answer=read_number(task, form, typed.prompt, reply),
        prompt=cut,
        tokens=tokens[0],
        ids=_name_ids(experiment, model.encoding, ids),
        written=tuple(written),
        # A format's random spaces in an answer bear no loss: a model cannot know them, and need not write them.
        expected=tuple(line.tokens[0, cut:][line.loss_mask[0, cut:]].tolist()),
        probabilities=logits[0].double().softmax(-1),
        layers=tuple(layers),
        answer_first=form.answer,
        causal=model.config.attention == "causal",
        at_once=model.answers_at_once,
    )


def _read_answer(
    model: Transformer, typed: TypedProblem, new_tokens: int
) -> tuple[list[int], Int[Tensor, "1 n"], Ids, list[LayerInput], Float[Tensor, "1 a v"]]:
    """The tokens of an answer, all that were read to write it, their ids, and the pass that reads them."""
    batch = typed.batch(CPU)
    prompt, pad = batch.prompt, vocabulary.token(vocabulary.PAD)

    def read(answer: Int[Tensor, "1 a"]) -> tuple[Int[Tensor, "1 n"], Ids, list[LayerInput], Float[Tensor, "1 a v"]]:
        # All but the last token are read; each predicts the one after it.
        tokens = torch.cat([prompt.tokens, answer[:, :-1]], dim=1)
        ids = model.encoding.full(prompt, tokens, batch.key, batch.capacity)
        layers, logits = watch_layers(model, tokens, ids, answer.shape[1])
        return tokens, ids, layers, logits[:, -answer.shape[1] :]

    # A right answer is what decoding would write, and takes one pass in place of one a token. A model that answers at
    # once needs no guess.
    if typed.written.given is None and not model.answers_at_once:
        right = typed.batch(CPU, whole=True).tokens[:, typed.cut : int(typed.written.lengths[0])]
        found = read(right)
        if torch.equal(found[-1].argmax(-1), right):
            return right[0].tolist(), *found
    answered = model.answer(prompt, batch.key, new_tokens, batch.capacity)
    written = [token for token in answered[0].tolist() if token != pad]
    return written, *read(answered[:, : len(written)])


def _name_ids(experiment: Experiment, encoding: Composed, ids: Ids) -> tuple[SchemeIds, ...]:
    """Ids with the names of their schemes; not those that are used by nothing, as in a model without positions."""
    parts = [
        (which, str(part.scheme), str(part.encoding))
        for part, (own, which) in zip(parse(experiment.config.encoding), encoding.encodings(), strict=True)
        if own.takes_ids
    ]
    found = []
    for number, own in enumerate(ids):
        names = dict.fromkeys(scheme for which, scheme, _ in parts if which == number)
        used_by = dict.fromkeys(name for which, _, name in parts if which == number)
        if names:
            slides = bool(getattr(encoding.schemes[number], "slides", False))
            found.append(SchemeIds(" ".join(names), tuple(used_by), slides, own[:, 0]))
    return tuple(found)


def _says_something(bias: Float[Tensor, "h q k"], causal: bool) -> bool:
    """Whether a bias adds anything, or hides more than what comes later."""
    seen = torch.ones(bias.shape[1:], dtype=torch.bool)
    inside = bias[:, seen.tril() if causal else seen]
    return bool(inside.isnan().any()) or bool(inside.any())


def _rows(values: Float[Tensor, "q k"], causal: bool) -> list[list[float | None]]:
    """Numbers as plain data, to a thousandth; keys that a causal query cannot see are left out."""
    rows = values.double().tolist()
    return [
        [None if number != number else round(number, 3) for number in (row[: query + 1] if causal else row)]
        for query, row in enumerate(rows)
    ]
