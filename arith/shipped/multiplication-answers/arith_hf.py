"""The model's code is arith: pip install 'arith-toolkit[hf]'."""

from arith.hf.model import ArithConfig, ArithForCausalLM

__all__ = ["ArithConfig", "ArithForCausalLM"]
