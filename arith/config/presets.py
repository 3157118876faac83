"""Model shapes by name, from 50 thousand to 100 million parameters."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # One layer is enough where an answer digit depends on a few digits at known places. Trains in seconds on a CPU.
    "nano": {"layers": 1, "width": 64, "heads": 4, "hidden": 256, "activation": "gated-gelu"},
    "micro": {"layers": 2, "width": 64, "heads": 4, "hidden": 256, "activation": "gated-gelu"},
    "tiny": {"layers": 4, "width": 128, "heads": 4, "hidden": 512, "activation": "gated-gelu"},
    "small": {"layers": 6, "width": 384, "heads": 6, "hidden": 1536, "activation": "gelu"},
    # GPT-2-small's shape without its vocabulary: what the literature calls 100M is 85 million here.
    "gpt2-small": {"layers": 12, "width": 768, "heads": 12, "hidden": 3072, "activation": "gelu"},
    "100m": {"layers": 14, "width": 768, "heads": 12, "hidden": 3072, "activation": "gelu"},
}
