"""The path by which other code imports problems for its own tokenizer; they live in `arith.data.tokenized`."""

# Other people's code and the documentation hold this path, so it outlives the move of the code.
from arith.data.tokenized import TokenizedProblems

__all__ = ["TokenizedProblems"]
