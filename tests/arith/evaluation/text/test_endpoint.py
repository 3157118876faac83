"""What a server of models may be, and what ends the asking at once."""

import time
from collections.abc import Callable
from threading import Event

import pytest
from click.testing import Result

from arith.errors import RunError, UsageError
from arith.evaluation.text import endpoint as endpoint_file
from arith.evaluation.text.endpoint import Endpoint, check_url
from arith.evaluation.text.reply import Reply
from tests.arith.evaluation.text.serving import Answer, Asked, completion, serving

BODIES = [{"model": "it", "messages": [{"role": "user", "content": str(number)}]} for number in range(6)]


def ask(endpoint: Endpoint, concurrency: int = 1, stopped: Callable[[], bool] = lambda: False) -> dict[int, Reply]:
    return dict(endpoint.ask_all(BODIES, concurrency, stopped))


def test_only_https_and_this_machine_are_asked_unless_insecure() -> None:
    for good in ("https://example.org/v1", "http://localhost:8000/v1/", "http://[::1]:1/v1", "http://127.0.0.1/a/v1"):
        assert check_url(good, False) == good.rstrip("/")
    assert check_url("http://example.org/v1", True)
    for bad in ("http://example.org/v1", "https://example.org", "ftp://localhost/v1", "localhost/v1", "https:///v1"):
        with pytest.raises(UsageError):
            check_url(bad, False)
    for secret in ("https://me:sk-1@example.org/v1", "https://example.org/v1?key=sk-1", "https://example.org/v1#sk-1"):
        with pytest.raises(UsageError) as refused:
            check_url(secret, True)
        assert "sk-1" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(401, "Incorrect API key: sk-1"), "401: .* does not take the key in .NAME"),
        (Answer(404, "no"), "404: .* has no model 'it'"),
        (
            Answer(307, "", (("Location", "http://127.0.0.1:9/v1/chat/completions"),)),
            "307: .* sends requests elsewhere",
        ),
        (Answer(429, "", (("Retry-After", "86400"),)), "asks to come back in 86400 s"),
    ],
)
def test_what_every_request_would_meet_ends_it_at_once(answer: Answer, said: str) -> None:
    with serving(lambda _: answer) as (url, seen):
        with pytest.raises(RunError, match=said) as ended:
            ask(Endpoint(url, "sk-1", "NAME"))
        assert len(seen) == 1
        assert "sk-1" not in str(ended.value)
        assert "\n" not in str(ended.value)


def test_a_server_that_asks_to_wait_is_obeyed_by_all_requests() -> None:
    times: list[float] = []

    def answer(asked: Asked) -> Answer:
        times.append(time.monotonic())
        return Answer(503, "", (("Retry-After", "0.3"),)) if len(times) == 1 else completion("1")

    with serving(answer) as (url, _):
        replies = ask(Endpoint(url))
    assert [replies[row].text for row in range(6)] == ["1"] * 6
    assert times[1] - times[0] >= 0.3


def test_what_is_no_completion_is_tried_again_and_then_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_file, "FIRST_WAIT", 0.001)
    answers = {"0": "{", "1": "[]", "2": {"choices": []}, "3": {"choices": [{"message": 3}]}}

    def answer(asked: Asked) -> Answer:
        return Answer(200, answers[asked.prompt]) if asked.prompt in answers else completion(None, refusal="No.")

    with serving(answer) as (url, seen):
        replies = ask(Endpoint(url), 3)
    assert [bool(replies[row].failed) for row in range(6)] == [True] * 4 + [False] * 2
    assert (replies[5].text, replies[5].refused) == ("No.", True)
    assert len(seen) == 4 * 5 + 2


def test_a_stopped_asking_keeps_what_is_under_way() -> None:
    begun, stop = Event(), Event()

    def answer(asked: Asked) -> Answer:
        begun.set()
        stop.wait(5)
        time.sleep(0.3)  # longer than until the stop is seen
        return completion("1")

    def stopped() -> bool:
        if begun.is_set():
            stop.set()
        return stop.is_set()

    with serving(answer) as (url, seen):
        replies = ask(Endpoint(url), 2, stopped)
        assert len(replies) == len(seen) <= 2
        assert replies


def test_options_that_are_for_servers_or_miss_something_are_refused(arith: Callable[..., Result]) -> None:
    def error(*arguments: str) -> str:
        ran = arith("evaluate", *arguments)
        assert ran.exit_code == 2, ran.output
        return ran.stderr

    to = ("--endpoint", "http://localhost:9/v1")
    assert "name the model by --model" in error(*to)
    assert "$NO_SUCH_KEY has none" in error(*to, "--model", "it", "--key-env", "NO_SUCH_KEY")
    assert "--timeout is for --endpoint" in error("--prompts", "a.jsonl", "--timeout", "3")
    assert "contradict each other" in error(*to, "--model", "it", "--chat", "--completions")
    assert "two models" in error(*to, "--model", "it", "--hf", "folder")
    assert "--openai writes" in error(*to, "--openai", "--model", "it")
