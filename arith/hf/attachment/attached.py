"""What is attached to a model, if anything."""

from typing import Any

from transformers import PreTrainedModel

from arith.errors import UsageError
from arith.hf.attachment.attachment import Attachment
from arith.hf.attachment.interface import NAME
from arith.hf.attachment.own import Own


def inside(model: Any) -> Any:
    """The model of transformers inside one of peft, which stands around it; any other model as it is."""
    if not isinstance(model, PreTrainedModel) and hasattr(model, "get_base_model"):
        return model.get_base_model()
    return model


def attached(model: Any) -> Attachment | Own | None:
    """What is attached to a model; None without anything."""
    found = getattr(inside(model), NAME, None)
    return found if isinstance(found, Attachment | Own) else None


def check_free(model: Any) -> None:
    """Raise if something is attached."""
    found = attached(model)
    if found is not None:
        raise UsageError(f"{found.title} is attached already. Take it out first: arith.hf.detach(model)")
