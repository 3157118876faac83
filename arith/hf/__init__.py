"""arith beside Hugging Face: our models as theirs, our encodings in theirs. pip install 'arith-toolkit[hf]'.

May import `evaluation`, `experiment` and the rooms below; never `training` or `sweeps`.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.hf.attachment.attach import attach, detach, disabled
    from arith.hf.attachment.attached import attached
    from arith.hf.attachment.attachment import Attachment
    from arith.hf.attachment.rotary import own_rope
    from arith.hf.attachment.saving import load, save

# Lazily: `arith.hf.text` needs no transformers.
__getattr__ = lazy_exports(
    __name__,
    {
        "Attachment": "attachment.attachment",
        "attach": "attachment.attach",
        "attached": "attachment.attached",
        "detach": "attachment.attach",
        "disabled": "attachment.attach",
        "load": "attachment.saving",
        "own_rope": "attachment.rotary",
        "save": "attachment.saving",
    },
)
__all__ = ["Attachment", "attach", "attached", "detach", "disabled", "load", "own_rope", "save"]
