"""How problems are put: questions, conversations, and the hash that keeps two of them apart."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from click.testing import Result

from arith.evaluation.text.wording import QUESTION
from arith.hf.generation import TextModel
from arith.results.schema import Results

# A turn a line, as small templates are.
TEMPLATE = (
    "{% for one in messages %}{{ one['role'][0] }}{{ one['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}a{% endif %}"
)


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_question_is_asked_and_its_hash_goes_along(arith: Callable[..., Result]) -> None:
    few = ("--test-digits", "2", "--samples", "3")
    bad = arith("evaluate", "--prompts", "ask.jsonl", "--ask", "What is it?", *few)
    assert bad.exit_code == 2
    assert "{problem}" in bad.stderr
    for name, options in {
        "bare": (),
        "asked": ("--ask", "What is {problem}? {ok}"),
        "chat": ("--chat", "--shots", "1"),
        "short": ("--chat", "--shots", "1", "--max-tokens", "9"),
    }.items():
        assert arith("evaluate", "--prompts", f"{name}.jsonl", *few, *options).exit_code == 0
    problems = [str(row["prompt"]).removesuffix("=") for row in rows("bare.jsonl")]
    assert [row["prompt"] for row in rows("asked.jsonl")] == [f"What is {problem}? {{ok}}" for problem in problems]
    for row, problem in zip(rows("chat.jsonl"), problems, strict=True):
        first, answer, last = row["messages"]
        assert [turn["role"] for turn in (first, answer, last)] == ["user", "assistant", "user"]
        assert last["content"] == QUESTION.replace("{problem}", problem)
        operands = first["content"].removeprefix("What is ").partition("?")[0].split("+")
        assert sum(map(int, operands)) == int(answer["content"])
    ids = [str(rows(f"{name}.jsonl")[0]["id"]) for name in ("bare", "asked", "chat", "short")]
    assert [len(one.split("/")) for one in ids] == [8, 9, 9, 9]
    assert len({one.split("/")[4] for one in ids[1:]}) == 3
    # Replies are scored by their ids alone, and two wordings are no one table.
    said = [{"id": row["id"], "reply": "1"} for row in rows("asked.jsonl")]
    Path("said.jsonl").write_text("\n".join(map(json.dumps, said)))
    assert arith("evaluate", "--replies", "said.jsonl").exit_code == 0
    results = Results.load(Path("said-evaluation.json"))
    assert results.cells[0].wording == results.about["wording"]["hash"] == ids[1].split("/")[4]
    Path("other.jsonl").write_text("\n".join(json.dumps({"id": r["id"], "reply": "1"}) for r in rows("chat.jsonl")))
    mixed = arith("evaluate", "--replies", "other.jsonl", "--label", "said", "--out", "said-evaluation.json")
    assert mixed.exit_code == 2
    assert "of another model or test" in mixed.stderr
    both = [*said, *({"id": row["id"], "reply": "1"} for row in rows("chat.jsonl"))]
    Path("both.jsonl").write_text("\n".join(map(json.dumps, both)))
    assert "holds replies to 2 wordings" in arith("evaluate", "--replies", "both.jsonl").stderr


def test_a_local_model_with_a_template_is_asked_by_it(arith: Callable[..., Result], gpt2: Path) -> None:
    shutil.copytree(gpt2, "talks")
    settings = json.loads(Path("talks/tokenizer_config.json").read_text())
    Path("talks/tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": TEMPLATE}))
    few = ("--test-digits", "1", "--samples", "2", "--max-tokens", "5")
    assert arith("evaluate", "--hf", "talks", "--prompts", "chat.jsonl", *few).exit_code == 0
    assert Results.load(Path("talks-evaluation.json")).about["wording"]["chat"] is True
    (turn,) = rows("chat.jsonl")[0]["messages"]
    assert turn["content"].startswith("What is ")
    # Whole, by the template's own special tokens, and cut off where the model does not end by itself.
    model = TextModel.load(Path("talks"), torch.device("cpu"))
    text = model.tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    assert text == f"u{turn['content']}\na"
    tokens = model.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    new = model.model.generate(tokens, max_new_tokens=5)[0, tokens.shape[1] :]
    row = rows("chat.jsonl")[0]
    assert row["reply"] == model.tokenizer.decode(new, skip_special_tokens=True)
    assert row.get("truncated", False) == (model.tokenizer.eos_token_id not in new)
    bare = arith("evaluate", "--hf", "talks", "--no-chat", "--prompts", "bare.jsonl", "--out", "bare.json", *few)
    assert bare.exit_code == 0, bare.stderr
    assert str(rows("bare.jsonl")[0]["prompt"]).endswith("=")
    assert "the tokenizer has no chat template" in arith("evaluate", "--hf", str(gpt2), "--chat", *few).stderr
