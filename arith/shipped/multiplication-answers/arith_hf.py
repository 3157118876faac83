"""The model's code is arith: pip install 'arith-toolkit[hf]'."""

try:
    from arith.hf.model import ArithConfig, ArithForCausalLM
except ImportError as error:
    raise ImportError(
        "this model's code is arith-toolkit: pip install 'arith-toolkit[hf]' (the package called arith is another one)"
    ) from error

__all__ = ["ArithConfig", "ArithForCausalLM"]
