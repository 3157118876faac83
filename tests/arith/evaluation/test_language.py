"""The loss on whole lines, and what models give to the words of dialogue."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from torch.nn import functional

from arith.config.schema import RunConfig
from arith.evaluation.language import language, measure_surprise, words_of
from arith.experiment.experiment import Experiment
from arith.results.schema import Results
from arith.tasks import vocabulary

Arith = Callable[..., Result]
CPU = torch.device("cpu")
DIALOGUE = {
    "task": "dialogue",
    "format": "plain",
    "encoding": "rope",
    "data": {"digits": "1-2"},
    "evaluation": {"digits": [2], "suites": ["random"], "samples": 4},
}


def experiment_with(**training: object) -> Experiment:
    return Experiment.of(RunConfig.of({**DIALOGUE, "training": training}))


def test_a_line_is_learned_from_its_second_token_to_its_end() -> None:
    answers = experiment_with().training_data().batch(0, 8, CPU)
    lines = experiment_with(loss="line").training_data().batch(0, 8, CPU)
    assert torch.equal(lines.tokens, answers.tokens)
    for row in range(8):
        length = int(lines.length[row])
        assert not lines.answer_mask[row, 0]
        assert lines.answer_mask[row, 1:length].all()
        assert not lines.answer_mask[row, length:].any()
        assert vocabulary.SYMBOLS[int(lines.tokens[row, length - 1])] == vocabulary.END
        assert answers.answer_mask[row].sum() < lines.answer_mask[row].sum()


def test_the_loss_of_lines_is_the_cross_entropy_of_all_tokens() -> None:
    experiment = experiment_with(loss="line")
    model, batch = experiment.model(), experiment.training_data().batch(0, 4, CPU)
    ids = model.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
    logits = model(batch.tokens[:, :-1], tuple(own[:, :, :-1] for own in ids))
    pad = vocabulary.token(vocabulary.PAD)
    whole = functional.cross_entropy(logits.transpose(1, 2), batch.tokens[:, 1:], ignore_index=pad)
    torch.testing.assert_close(model.loss(batch), whole)


def test_a_model_that_knows_nothing_gives_every_character_the_same() -> None:
    experiment = experiment_with(loss="line")
    model = experiment.model()
    torch.nn.init.zeros_(model.head.weight)
    seen, held_out = language(experiment, model, "x")[::-1]
    assert (seen.wording, held_out.wording) == ("seen", "held-out")
    assert seen.bits_a_character == pytest.approx(math.log2(experiment.vocabulary_size), abs=1e-4)
    assert held_out.perplexity_a_word == pytest.approx(
        experiment.vocabulary_size ** (held_out.characters / held_out.words), rel=1e-2
    )


def test_only_characters_that_are_no_digits_are_counted() -> None:
    data = experiment_with(loss="line").training_data()
    _, characters, words = measure_surprise(experiment_with().model(), data, 3)
    text = [vocabulary.decode(tokens) for tokens in data.batch(0, 3, CPU).tokens.numpy()]
    assert characters == sum(not letter.isdigit() for line in text for letter in line) + 3  # the end marks
    assert words == sum(map(words_of, text))
    assert words_of("Teacher: It is 904.") == 3


def test_a_model_of_answers_says_nothing_of_language() -> None:
    experiment = experiment_with()
    assert language(experiment, experiment.model(), "x") == ()


def test_language_is_kept_in_results_and_drawn(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(
        "task = 'dialogue'\nformat = 'plain'\nseeds = [1, 2]\n[data]\ndigits = '1-2'\n"
        "[training]\nsteps = 2\nbatch = 4\nloss = 'line'\n[evaluation]\ndigits = [2]\nsuites = ['random']\n"
        "samples = 4\n"
        "[curves.alone]\nencoding = 'nope'\n"
        "[curves.mixed]\nencoding = 'nope'\ndata = { mix = ['50% addition 1-3'] }\n"
    )
    ran = arith("reproduce", "mini.toml", "--out", "out", "--seeds", "2")
    assert ran.exit_code == 0, ran.output
    assert "bits a character" in ran.stdout
    found = Results.load(tmp_path / "out" / "results.json").language
    assert [(row.label, row.wording) for row in found] == [
        (label, wording) for label in ("alone", "mixed") for _ in range(2) for wording in ("held-out", "seen")
    ]
    lines = (tmp_path / "out" / "figures" / "mini-language.csv").read_text().splitlines()
    assert len(lines) == 1 + len(found)
    assert (tmp_path / "out" / "figures" / "mini-language.png").stat().st_size
    assert arith("reproduce", "mini.toml", "--out", "out", "--seeds", "2").stderr.count("finished earlier") == 4
