import re

import pytest

from arith.catalogue.named import format_named
from arith.tasks import dialogue, vocabulary
from arith.tasks.dialogue import Dialogue, Talk
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.stream import Split

ROWS = 3000  # ten times the requests and replies of short talk


def lines(split: Split, task: Dialogue | None = None, form: str = "plain") -> list[str]:
    source = Source(task or Dialogue(), Uniform(1, 5), 0, split)
    return [vocabulary.decode(tokens) for tokens in Mixture([source]).write(format_named(form), 0, ROWS).tokens]


def template(line: str) -> str:
    return re.sub("[0-9]+", "#", line)


def fragments(requests: tuple[tuple[str, str, str], ...]) -> list[str]:
    return ["#".join(request) for request in requests]


def test_there_are_hundreds_of_surface_forms() -> None:
    forms = {template(line) for line in lines("train")}
    assert len(forms) > 0.9 * ROWS
    for request in fragments(dialogue.REQUESTS):
        assert any(request in form for form in forms), request
    for opening in (*dialogue.GREETINGS, *dialogue.PLEAS, *dialogue.FILLERS):
        assert any(re.search(f"[.:?!] {re.escape(opening)}[A-Z#]", form) for form in forms), opening
    for reply in dialogue.REPLIES:
        assert any(form.endswith(f"{reply}#.") for form in forms), reply


def test_templates_are_held_out() -> None:
    held_out = [*fragments(dialogue.HELD_OUT_REQUESTS), *dialogue.HELD_OUT_REPLIES]
    for split in ("train", "validation"):
        assert not any(own in template(line) for own in held_out for line in lines(split))
    tested = [template(line) for line in lines("test")]
    assert all(any(own in line for own in fragments(dialogue.HELD_OUT_REQUESTS)) for line in tested)
    assert all(any(own in line for own in dialogue.HELD_OUT_REPLIES) for line in tested)
    assert not any(own in template(line) for own in held_out for line in lines("test", Dialogue("seen")))


def test_short_talk_is_a_request_and_a_reply() -> None:
    requests = [f"Student: {own} Teacher: " for own in fragments(dialogue.REQUESTS)]
    whole = {f"{request}{reply}#." for request in requests for reply in dialogue.REPLIES}
    short = {template(line) for line in lines("train", Dialogue(talk="short"))}
    assert short == whole
    assert not short & {template(line) for line in lines("test", Dialogue(talk="short"))}


def test_an_unknown_talk_is_refused() -> None:
    with pytest.raises(ValueError, match="talk is one of long, short; got 'brief'"):
        Dialogue(talk="brief")  # type: ignore[arg-type]


@pytest.mark.parametrize("talk", ["long", "short"])
def test_longest_holds_for_every_template(talk: Talk) -> None:
    task = Dialogue(talk=talk)
    longest, _ = NAMED["plain"].longest(task, 3)
    for split in ("train", "test"):
        written = Mixture([Source(task, Uniform(3, 3), 2311, split)]).write(NAMED["plain"], 0, 40_000)  # type: ignore[arg-type]
        assert written.lengths.max() <= longest
    assert written.lengths.max() == longest


def test_the_prompt_ends_right_before_the_number() -> None:
    source = Source(Dialogue(), Uniform(1, 5), 0, "train")
    written = Mixture([source]).write(NAMED["plain"], 0, 200)
    for row, tokens in enumerate(written.tokens):
        cut = written.prompt_lengths[row]
        prompt, answer = vocabulary.decode(tokens[:cut]), vocabulary.decode(tokens[cut:])
        assert re.fullmatch(r"Student: .* Teacher: .* ", prompt)
        assert re.fullmatch(r"[0-9]+\.", answer)
        assert vocabulary.decode(tokens[written.loss_mask[row]]) == answer


def test_numbers_can_be_spaced() -> None:
    for line in lines("train", form="plain+groups:size=1")[:200]:
        assert not re.search("[0-9][0-9]", line)
        (a, b), answer = format_named("plain+groups:size=1").read(Dialogue(), line)
        assert int(a) + int(b) == int(answer)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("The answer is 904.", "904"),
        ("842 plus 62 makes 904, of course!", "904"),
        ("That is easy. 904", "904"),
    ],
)
def test_free_replies_are_read(reply: str, answer: str) -> None:
    prompt = "Student: What is 842 plus 62? Teacher: "
    assert NAMED["plain"].read(Dialogue(), prompt + reply) == (("842", "62"), answer)


def test_a_reply_without_a_number_is_none() -> None:
    with pytest.raises(ValueError, match="2 numbers and an answer"):
        NAMED["plain"].read(Dialogue(), "Student: What is 842 plus 62? Teacher: I do not know.")
