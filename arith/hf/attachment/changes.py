"""What is changed in a model of transformers, the way back, and what stands for positions that are taken out."""

import inspect
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from arith.errors import UsageError

_VALIDATE = "_validate_model_kwargs"  # a method by which generate refuses arguments that no forward names


class Changes:
    """What has been changed in a model, so that it can be undone."""

    def __init__(self) -> None:
        self._replaced: list[tuple[nn.Module, str, nn.Module]] = []
        self._overridden: list[tuple[nn.Module, str]] = []
        self._frozen: list[nn.Parameter] = []
        self._handles: list[Any] = []
        self._implementation = ""

    def attend(self, model: Any, name: str) -> None:
        """Send the model's attention through arith's op, by a name under which it is registered."""
        self._implementation = model.config._attn_implementation
        model.set_attn_implementation(name)

    def replace(self, base: nn.Module, path: str, module: nn.Module) -> None:
        """Put a module in the place of another."""
        above, _, name = path.rpartition(".")
        owner = base.get_submodule(above)
        self._replaced.append((owner, name, base.get_submodule(path)))
        setattr(owner, name, module)

    def override(self, module: nn.Module, name: str, function: Callable[..., Any]) -> None:
        """Give one module a method that its class has not, or has otherwise."""
        self._overridden.append((module, name))
        setattr(module, name, function)

    def let_pass(self, model: Any, names: Collection[str]) -> None:
        """Have `generate` accept arguments that reach the base model by a hook, and that no forward names."""
        if hasattr(model, _VALIDATE):
            self.override(model, _VALIDATE, partial(_validate_others, model, names))

    def save_along(self, model: Any, write: Callable[[Any], Any]) -> None:
        """Have `model.save_pretrained(folder)` call `write(folder)` too, as each checkpoint of a Trainer does."""
        self.override(model, "save_pretrained", partial(_save_both, model, write))

    def freeze(self, weight: nn.Parameter) -> None:
        """Train a weight no longer."""
        if weight.requires_grad:
            weight.requires_grad_(False)
            self._frozen.append(weight)

    def hook(self, handle: Any) -> None:
        """Remember a hook."""
        self._handles.append(handle)

    def undo(self, model: Any) -> None:
        """Bring back all that was."""
        for handle in self._handles:
            handle.remove()
        for owner, name, original in self._replaced:
            setattr(owner, name, original.to(model.device))  # the model may have moved without it
        for module, name in self._overridden:
            delattr(module, name)
        for weight in self._frozen:
            weight.requires_grad_(True)
        for undone in (self._handles, self._replaced, self._overridden, self._frozen):
            undone.clear()
        model.set_attn_implementation(self._implementation)


def check_implementation(model: Any, name: str, title: str) -> None:
    """Raise if the model's attention was sent elsewhere after something was attached, which would then do nothing.

    Args:
        model: the model, or its part without a head.
        name: the implementation that was set in attaching.
        title: what is attached, for messages.
    """
    found = model.config._attn_implementation
    if found != name:
        raise UsageError(
            f"{title} is attached and needs attn_implementation='{name}', which was set to '{found}' after it: this "
            f"pass would not have its positions. Set it back, model.set_attn_implementation('{name}'), or take it out "
            f"first: arith.hf.detach(model)"
        )


def check_trained(base: nn.Module, own: list[nn.Parameter]) -> None:
    """Raise if peft has frozen what is attached: it freezes all that it does not add itself.

    Args:
        base: the model, or a part of it with all its layers.
        own: the parameters that are attached.
    """
    if not own or any(weight.requires_grad for weight in own):
        return
    if any(type(module).__module__.startswith("peft.") for module in base.modules()):
        raise UsageError(
            f"peft has frozen what is attached: 0 of {len(own)} new tensors train. Attach to what get_peft_model "
            f"gives, attach(get_peft_model(model, ...), ...), or have them train: model.arith.requires_grad_(True)"
        )


def _validate_others(model: Any, names: Collection[str], arguments: dict[str, Any]) -> None:
    getattr(type(model), _VALIDATE)(model, {name: own for name, own in arguments.items() if name not in names})


def _save_both(model: Any, write: Callable[[Any], Any], folder: Any, *args: Any, **options: Any) -> Any:
    if options.get("is_main_process", True):
        write(folder)
    return type(model).save_pretrained(model, folder, *args, **options)


class Unrotated(nn.Module):
    """Stands for a model's rotary embedding and rotates by no angle: cosines of 1 and sines of 0.

    Args:
        widths: the width of what the model's own gives, by type of layer where layers differ.
        config: the model's configuration.
        whole: whether it gives complex numbers, one tensor for both, as in Llama 4.
    """

    def __init__(self, widths: dict[str | None, int], config: Any, whole: bool) -> None:
        super().__init__()
        self.widths = widths
        self.whole = whole
        self.config = config  # some models read it from their rotary embedding

    @staticmethod
    def like(rotary: nn.Module, config: Any, like: Tensor) -> "Unrotated":
        """Stand in for a rotary embedding, whose results tell how many dimensions the layers expect.

        Args:
            rotary: the model's own.
            config: the model's configuration.
            like: a tensor of the model's type and device.

        Raises:
            UsageError: it does not compute cosines and sines from positions alone.
        """
        typed = "layer_type" in inspect.signature(rotary.forward).parameters
        kinds = sorted(set(config.layer_types)) if typed else [None]
        widths, whole = {}, False
        for kind in kinds:
            options = {} if kind is None else {"layer_type": kind}
            place = torch.zeros(1, 1, dtype=torch.long, device=like.device)
            try:
                rotation = rotary(like.new_zeros(1, 1, 1), place, **options)
            except (KeyError, AttributeError, TypeError) as error:
                raise UsageError(
                    f"{type(rotary).__name__} does not compute rotations from positions alone, so it cannot be taken "
                    f"out: {error!r}"
                ) from error
            whole = isinstance(rotation, Tensor) and rotation.is_complex()
            parts = (rotation,) if whole else rotation
            if not (isinstance(parts, tuple) and len(parts) == (1 if whole else 2) and parts[0].ndim == 3):
                raise UsageError(f"{type(rotary).__name__} gives no cosines and sines, so it cannot be taken out")
            widths[kind] = parts[0].shape[2]
        return Unrotated(widths, config, whole)

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> tuple[Tensor, Tensor] | Tensor:
        shape = (1, position_ids.shape[-1], self.widths[layer_type])
        if self.whole:
            return torch.ones(shape, dtype=torch.complex64, device=x.device)
        return x.new_ones(shape), x.new_zeros(shape)


class Unplaced(nn.Module):
    """Stands for a model's position table and adds zeros. It keeps the weights, which are saved with the model."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.weight.new_zeros(1, 1, self.weight.shape[1])
