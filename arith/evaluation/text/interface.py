"""The usual HTTP interface of language models, as OpenAI has it: requests, their answers, and lines of batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arith.evaluation.text.prompts import PromptSet, TextTest, write_json_lines
from arith.evaluation.text.reply import Reply, first_line
from arith.results.schema import Condition

# Nothing is drawn at 0, so that a seed would change nothing; none is sent, as some servers refuse unknown fields.
TEMPERATURE = 0
CHAT, TEXT = "/chat/completions", "/completions"


def requests(asked: PromptSet, model: str) -> list[dict[str, Any]]:
    """The bodies of the requests for a test set, in order; by their prompts of `CHAT` or of `TEXT`."""
    bodies = []
    for prompt in asked.prompts:
        body: dict[str, Any] = {"model": model, "temperature": TEMPERATURE}
        if isinstance(prompt, str):
            # Servers have a default of as few as 16 tokens here, and a base model never ends by itself.
            body |= {"prompt": prompt, "max_tokens": asked.reply_tokens}
        else:
            # Without a limit of ours the server's holds: models that think first need thousands of tokens.
            body |= {"messages": prompt} | ({"max_tokens": limit} if (limit := asked.of.wording.tokens) else {})
        bodies.append(body)
    return bodies


def place(body: dict[str, Any]) -> str:
    """Where a request goes, below /v1."""
    return CHAT if "messages" in body else TEXT


def read_answer(body: Any) -> Reply:
    """The reply in the answer to a request.

    Raises:
        ValueError: it holds none.
    """
    try:
        choice = body["choices"][0]
        usage = body.get("usage") or {}
        message = choice.get("message")
        if message is None:
            text, refusal = first_line(choice["text"]), ""
        else:
            text, refusal = _text_of(message.get("content")), _text_of(message.get("refusal"))
        finish = choice.get("finish_reason")
        return Reply(
            _encodable(text or refusal),
            # Completions go on until they are cut off.
            truncated=finish == "length" and message is not None,
            refused=finish == "content_filter" or bool(refusal),
            model=_encodable(body.get("model") or ""),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            reply_tokens=_count(usage.get("completion_tokens")),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"the answer holds no completion: {str(body)[:200]}") from error


def batch_line(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """A request as a line of a batch."""
    return {"custom_id": name, "method": "POST", "url": f"/v1{place(body)}", "body": body}


def write_batch(path: Path, of: TextTest, sets: Sequence[Condition], model: str) -> int:
    """Write the requests of some test sets as a batch, and return their number."""
    rows = (
        batch_line(name, body)
        for asked in map(of.problems, sets)
        for name, body in zip(asked.ids(), requests(asked, model), strict=True)
    )
    return write_json_lines(path, rows)


def read_batch_line(row: dict[str, Any]) -> Reply:
    """The reply in a line that a batch gave back, which may be an error.

    Raises:
        ValueError: it holds neither.
    """
    response = row.get("response")
    answer = response.get("body") if isinstance(response, dict) else None
    status = response.get("status_code") if isinstance(response, dict) else None
    if row.get("error") or (isinstance(status, int) and status >= 400):
        why = row.get("error") or answer
        return Reply("", failed=_encodable(f"{status or 'failed'}: {str(why)[:200]}"))
    return read_answer(answer)


def _text_of(content: Any) -> str:
    """The text of a message, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and "text" in part)
    return content or ""


def _encodable(text: str) -> str:
    # JSON may hold half of a surrogate pair, which no file takes.
    return text.encode("utf-8", "replace").decode("utf-8")


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
