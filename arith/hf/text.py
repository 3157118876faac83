"""The path by which other code imports problems for its own tokenizer; they live in `arith.data.tokenized`."""

from arith.data.tokenized import TokenizedProblems

__all__ = ["TokenizedProblems"]
