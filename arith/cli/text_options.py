"""The options of arith evaluate for models that read text."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from arith.cli.framework import click
from arith.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("--hf", click.Path(path_type=Path), "Local folder of any causal model of Hugging Face, which replies to text."),
    ("--endpoint", str, "URL, ending in /v1, of a server of models, which is asked what its file of replies lacks."),
    ("--model", str, "The model's name at --endpoint."),
    ("--key-env", str, "Environment variable that holds the key of --endpoint."),
    ("--concurrency", click.IntRange(1), "Requests to --endpoint at a time.  [default: 8]"),
    ("--timeout", click.FloatRange(0, min_open=True), "Seconds to wait for --endpoint, 5 times.  [default: 60]"),
    ("--completions", bool, "Have --endpoint complete texts, and not chat."),
    ("--insecure", bool, "Allow an --endpoint without https on another machine."),
    (
        "--prompts",
        click.Path(path_type=Path),
        "File for prompts, a JSON line each; when a model is asked, for replies too.",
    ),
    ("--openai", bool, "Write --prompts as a batch of OpenAI's for --model, whose results --replies takes."),
    ("--replies", click.Path(path_type=Path), "File of prompts' ids with replies, which are scored."),
    ("--partial", bool, "With --replies: missing ones count as failures, so that n is what was asked."),
    ("--shots", click.IntRange(0), "Solved problems before each prompt.  [default: 0]"),
    ("--ask", str, "A question in place of the bare problem: 'What is {problem}?'."),
    ("--chat/--no-chat", bool, "Ask in turns of a conversation.  [default: if --hf has a chat template, or by HTTP]"),
    (
        "--max-tokens",
        click.IntRange(1),
        "Most tokens of a reply.  [default: the answer's, 8 more, 64 for a question; in a chat, the server's]",
    ),
    ("--at-once", click.IntRange(1), "Prompts in a batch of --hf.  [default: 32]"),
    ("--label", str, "What results call the model.  [default: the folder's or file's name]"),
    ("--trained-digits", str, "Digits of operands that the model was trained on, such as 1-4, for figures."),
)


@dataclasses.dataclass(frozen=True)
class TextOptions:
    """The options of `_OPTIONS`; None where one was not given."""

    hf: Path | None
    endpoint: str | None
    model: str | None
    key_env: str | None
    concurrency: int | None
    timeout: float | None
    completions: bool | None
    insecure: bool | None
    prompts: Path | None
    openai: bool | None
    replies: Path | None
    partial: bool | None
    shots: int | None
    ask: str | None
    chat: bool | None
    max_tokens: int | None
    at_once: int | None
    label: str | None
    trained_digits: str | None

    def check(self) -> None:
        """Refuse what does not go together."""
        if all(one is None for one in (self.hf, self.endpoint, self.prompts, self.replies)):
            raise UsageError(
                "name a run, a local model by --hf, a server by --endpoint, or a file by --prompts or --replies"
            )
        if self.replies is not None and any((self.hf, self.endpoint, self.prompts)):
            raise UsageError("--replies scores what was replied: give it without --hf and --prompts, and --endpoint")
        if self.hf is not None and self.endpoint is not None:
            raise UsageError("--hf and --endpoint are two models: give one")
        if self.partial and self.replies is None:
            raise UsageError("--partial is for --replies")
        if self.openai and (self.prompts is None or self.hf is not None or self.endpoint is not None):
            raise UsageError(
                "--openai writes --prompts FILE, which is sent by hand: give it without --hf and --endpoint"
            )
        served = self.openai or self.endpoint is not None
        if served and self.model is None:
            raise UsageError("name the model by --model, as the server calls it")
        own = ("model", "completions") if self.openai else ()
        for name in ("model", "completions", "key_env", "concurrency", "timeout", "insecure"):
            if getattr(self, name) is not None and self.endpoint is None and name not in own:
                raise UsageError(f"--{name.replace('_', '-')} is for --endpoint")
        if self.completions and self.chat:
            raise UsageError("--chat and --completions contradict each other: give one")

    @property
    def by_http(self) -> bool:
        """Whether a server is asked, now or by a batch."""
        return self.endpoint is not None or bool(self.openai)

    @property
    def name(self) -> str:
        """What results call the model."""
        subject = self.hf or self.replies
        shots = f", {self.shots} shots" if self.shots else ""
        return self.label or (subject.stem if subject is not None else self.model or "") + shots


def text_options(command: Command) -> Command:
    """Options for models that read text."""
    for option, kind, text in reversed(_OPTIONS):
        # A flag that was not given is None, as any other option is.
        flag = {"is_flag": True, "default": None} if kind is bool else {"type": kind}
        command = click.option(option, help=text, **flag)(command)
    return command
