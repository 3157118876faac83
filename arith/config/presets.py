"""Model shapes by name, from 50 thousand to 100 million parameters, and those of the phi family beyond."""

from typing import Any

_PLAIN = {"norm_after": False, "embedding_std": 0.02}
_PARALLEL = {**_PLAIN, "block": "parallel"}
PRESETS: dict[str, dict[str, Any]] = {
    # One layer is enough where an answer digit depends on a few digits at known places. Trains in seconds on a CPU.
    "nano": {"layers": 1, "width": 64, "heads": 4, "hidden": 256, "activation": "gated-gelu"},
    "micro": {"layers": 2, "width": 64, "heads": 4, "hidden": 256, "activation": "gated-gelu"},
    "tiny": {"layers": 4, "width": 128, "heads": 4, "hidden": 512, "activation": "gated-gelu"},
    "small": {"layers": 6, "width": 384, "heads": 6, "hidden": 1536, "activation": "gelu"},
    # GPT-2-small's shape without its vocabulary: what the literature calls 100M is 85 million here.
    "gpt2-small": {"layers": 12, "width": 768, "heads": 12, "hidden": 3072, "activation": "gelu"},
    "100m": {"layers": 14, "width": 768, "heads": 12, "hidden": 3072, "activation": "gelu"},
    # The shapes of phi-1-small, phi-1 (Gunasekar et al., arXiv 2306.11644) and phi-3-mini (arXiv 2404.14219): width,
    # layers, heads and block, without their vocabularies, biases and, in phi-1, LayerNorm.
    "phi-1-small": {"layers": 20, "width": 1024, "heads": 16, "hidden": 4096, "activation": "gelu", **_PARALLEL},
    "phi-1": {"layers": 24, "width": 2048, "heads": 32, "hidden": 8192, "activation": "gelu", **_PARALLEL},
    "phi-3-mini": {"layers": 32, "width": 3072, "heads": 32, "hidden": 8192, "activation": "gated-silu", **_PLAIN},
}
