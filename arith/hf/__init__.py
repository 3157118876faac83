"""arith beside Hugging Face models: pip install 'arith-toolkit[hf]'."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arith.hf.attachment import Attachment, attach, attached, detach
    from arith.hf.rotary import own_rope
    from arith.hf.saving import load, save

# Imported when they are asked for: `arith.hf.text` needs no transformers.
_HOMES = {
    "Attachment": "attachment",
    "attach": "attachment",
    "attached": "attachment",
    "detach": "attachment",
    "load": "saving",
    "own_rope": "rotary",
    "save": "saving",
}
__all__ = ["Attachment", "attach", "attached", "detach", "load", "own_rope", "save"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'arith.hf' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"arith.hf.{_HOMES[name]}"), name)
