"""How a problem is put to a model: as the format writes it, as a question, or as the turns of a conversation."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from arith.errors import UsageError
from arith.tasks.base import Task, Worded
from arith.tasks.formats import Format

PROBLEM = "{problem}"
QUESTION = "What is {problem}? Answer with the number only."
# Hexadecimal digits of a wording's hash in ids: 32 bits tell apart what one person ever tries.
HASHED = 8

Turns = list[dict[str, str]]  # as chat templates and chat interfaces take them: role and content


@dataclass(frozen=True)
class Wording:
    """How problems are put, and how long replies may be.

    Args:
        ask: a text around `{problem}`; None: the prompt as the format writes it.
        chat: whether problem and reply are turns of a conversation, and solved problems earlier turns.
        tokens: the most tokens of a reply; None: what is chosen for the test.
        hashed: the hash of a wording of which nothing else is known, as of replies in a file.
    """

    ask: str | None = None
    chat: bool = False
    tokens: int | None = None
    hashed: str = ""

    @staticmethod
    def of(ask: str | None, chat: bool, tokens: int | None, task: Task, form: Format) -> "Wording":
        """The wording that options ask for.

        Args:
            ask: see `Wording`; in a conversation None asks a question.
            chat, tokens: see `Wording`.
            task, form: the task and the format of the problems.

        Raises:
            UsageError: `ask` does not say where the problem stands.
        """
        if ask is not None and PROBLEM not in ask:
            raise UsageError(f"--ask says where the problem stands by {PROBLEM}, as in '{QUESTION}', got {ask!r}")
        if ask is None and chat:
            # A chat model answers a bare `12+34=` with an explanation, if with anything. A task in words asks already,
            # and in a format with a working "the number only" would be the wrong request.
            own = PROBLEM if isinstance(task, Worded) else QUESTION if form.working is None else f"{PROBLEM}="
            ask = getattr(task, "question", own)
        return Wording(ask, chat, tokens)

    @property
    def key(self) -> str:
        """The hash by which ids and cells tell wordings apart; empty for prompts as the format writes them.

        >>> Wording().key, Wording("What is {problem}?").key
        ('', '85424d45')
        """
        if self.hashed or self == BARE:
            return self.hashed
        return hashlib.sha256(json.dumps([self.ask, self.chat, self.tokens]).encode()).hexdigest()[:HASHED]

    def put(self, prompt: str, shots: Sequence[tuple[str, str]] = ()) -> str | Turns:
        """What a model is given.

        Args:
            prompt: the problem as the format writes it.
            shots: prompts and answers of solved problems.

        >>> Wording("What is {problem}?").put("12+34=", [("1+2=", "3")])
        'What is 1+2? 3\\nWhat is 12+34?'
        >>> Wording("{problem}", chat=True).put("12+34=")
        [{'role': 'user', 'content': '12+34'}]
        """
        if self.chat:
            turns = [
                {"role": role, "content": text}
                for asked, answer in shots
                for role, text in (("user", self._ask(asked)), ("assistant", answer.strip()))
            ]
            return [*turns, {"role": "user", "content": self._ask(prompt)}]
        between = "" if self.ask is None else " "
        solved = "".join(
            f"{self._ask(asked)}{between}{answer.strip() if between else answer}\n" for asked, answer in shots
        )
        return solved + self._ask(prompt)

    def described(self) -> dict[str, object]:
        """What results say of it."""
        known = {} if self.hashed else {"ask": self.ask, "chat": self.chat, "tokens": self.tokens}
        return {"hash": self.key, **known}

    def _ask(self, prompt: str) -> str:
        # Not str.format: other braces in a question are its own.
        return prompt if self.ask is None else self.ask.replace(PROBLEM, prompt.rstrip("= "))


BARE = Wording()
