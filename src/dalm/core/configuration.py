"""How a model is written down: its configuration as JSON values, and the model rebuilt from
configuration and weights alone.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dalm.core.model import Generative
from dalm.core.outside import PLACE, find_family, place_of
from dalm.core.scaler import Scaler
from dalm.core.spec import Spec
from dalm.errors import DalmError, is_integer


def config(model: Generative) -> dict[str, Any]:
    """A model's configuration as plain JSON values; nested models too. Of a family from outside it
    says where its class is (`dalm.core.outside`).
    """
    values = {name: getattr(model, name) for name in model.declared()}
    place = place_of(type(model))
    named = {"family": model.family} | ({PLACE: place} if place else {})
    return named | {
        name: _plain(values[name])
        for name, one in model.declared().items()
        if not (one.later and values[name] == one.default)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Generative):
        return config(value)
    if isinstance(value, Spec):
        return value.to_json()
    if is_integer(value):
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def build(config: dict[str, Any], state: dict[str, Tensor] | None = None) -> Generative:
    """The model that a configuration describes: the opposite of `config`.

    Args:
        config: as `config` gives it.
        state: its weights, or `None` for new ones.

    Raises:
        DalmError: no such family, one that may not be imported, an option that does not suit, or
            weights of another model.
    """
    options = dict(config)
    family = find_family(options.pop("family"), options.pop(PLACE, None))
    model = family(**{key: _rich(value) for key, value in options.items()})
    if state is not None:
        restore(model, state)
    return model


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return build(value) if "family" in value else Spec.from_json(value)
    return tuple(value) if isinstance(value, list) else value


def restore(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load weights. Buffers take the shape they were saved with, for models that remember data.

    Args:
        model: changed in place.
        state: its `state_dict`, by name.

    Raises:
        DalmError: names or shapes differ.
    """
    _restore_scalers(model, state)
    own = model.state_dict()
    state = {name: own[name] for name in _added(model) & own.keys() - state.keys()} | state
    if own.keys() != state.keys():
        differ = sorted(own.keys() ^ state.keys())
        raise DalmError(
            f"the weights do not belong to this model: {len(differ)} names differ, such as "
            f"{differ[0]!r}"
        )
    buffers = dict(model.named_buffers())
    for name, value in state.items():
        if name in buffers:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, value.to(buffers[name]))
        elif own[name].shape != value.shape:
            raise DalmError(
                f"the weights do not fit this model: {name} is {tuple(value.shape)}, expected "
                f"{tuple(own[name].shape)}"
            )
    model.load_state_dict(state)


def _restore_scalers(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Give each model inside the units that were saved with it: outer ones first, since they may
    build the inner ones anew.
    """
    for place in sorted((name for name in state if name.endswith("scaler.kept")), key=len):
        stem = place.removesuffix("kept")
        owner = model.get_submodule(stem.removesuffix("scaler.").rstrip("."))
        buffers = {key.removeprefix(stem): state[key] for key in state if key.startswith(stem)}
        real = isinstance(owner, Generative) and owner.spec.levels is None
        complete = buffers.keys() - {"logged"} == set(Scaler.NAMES)
        if not isinstance(owner, Generative) or not real or not complete:
            raise DalmError(f"the weights do not belong to this model: it cannot have {place!r}")
        owner.use_scaler(Scaler(**buffers))


def _added(model: nn.Module) -> set[str]:
    """Names of buffers that earlier versions did not save; they begin as those versions worked."""
    owners = ((path, one) for path, one in model.named_modules() if isinstance(one, Generative))
    return {f"{path}.{name}".lstrip(".") for path, one in owners for name in one.added}
