"""Options by group: of the model, of the data, of training and of sampling.

A group has its own names, so that a family may call an option `size` or `levels`. In Python an
option is given by name, `fit("vae", data, latent=4, steps=10)`, or within its group,
`fit("vae", data, model_options={"latent": 4}, train_options={"steps": 10})`; in the shell as
`--latent` or `--model.latent`. A name that two groups share is refused unless it says which;
a verb's own parameters keep their names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dalm.core import Generative, Recipe
from dalm.data import Data, data_options, load_data
from dalm.errors import DalmError, did_you_mean
from dalm.options import REQUIRED, Option
from dalm.train import FitOptions

Values = dict[str, dict[str, Any]]
"""Values of options by group and name."""
Groups = Mapping[str, Mapping[str, Option]]
"""Options by group and name."""

SHORT = {("data", "seed"): "data_seed"}
"""Short names that differ from an option's own: `seed` alone is that of training."""


@dataclass(frozen=True)
class OptionsOf:
    """Says in a verb's signature of which groups its `**options` are.

    Args:
        groups: some of `model`, `data`, `train`, `sampling`.
    """

    groups: tuple[str, ...]


def options_of(group: str, family: type[Generative] | None = None) -> dict[str, Option]:
    """The options of a group by name.

    Args:
        group: `model`, `data`, `train` or `sampling`.
        family: whose options those of the model and of sampling are; without it there are none.

    >>> options_of("data")["size"].name
    'size'
    """
    if group == "data":
        return data_options()
    if group == "train":
        return FitOptions.declared()
    if family is None:
        return {}
    declared = family.declared() if group == "model" else family.sampling.declared()
    return {name: option for name, option in declared.items() if name != "spec"}


def declared_by(target: Callable[..., Any]) -> dict[str, Option]:
    """What a function takes by name: its signature, as its docstring explains it."""
    from docstring_parser import parse

    sections = parse(inspect.getdoc(target) or "").params
    meanings = {section.arg_name: section.description or "" for section in sections}
    options = {}
    for name, parameter in inspect.signature(target, eval_str=True).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = REQUIRED if parameter.default is parameter.empty else parameter.default
        meaning = " ".join(meanings.get(name, "").split()).removesuffix(".")
        options[name] = Option(meaning, default, name=name, kind=parameter.annotation)
    return options


def family_defaults(family: type[Generative] | None) -> dict[str, Any]:
    """The training options that a family's own recipe decides where nothing is said."""
    recipe = getattr(family, "recipe", None)
    return asdict(recipe) if isinstance(recipe, Recipe) else {}


def short_name(group: str, name: str) -> str:
    """What an option is called where its group is not said.

    >>> short_name("data", "size"), short_name("data", "seed")
    ('size', 'data_seed')
    """
    return SHORT.get((group, name), name)


def homes(groups: Groups) -> dict[str, list[str]]:
    """The long names, `GROUP.NAME`, behind each short name; more than one where groups clash."""
    places: dict[str, list[str]] = {}
    for group, options in groups.items():
        for name in options:
            places.setdefault(short_name(group, name), []).append(f"{group}.{name}")
    return places


def clash(name: str, places: list[str]) -> DalmError:
    """The error of a short name that several groups share."""
    groups = [place.partition(".")[0] for place in places]
    python = " or ".join(f"{group}_options={{{name!r}: …}}" for group in groups)
    shell = " or ".join(f"--{place}" for place in places)
    return DalmError(
        f"{name!r} is an option of the {' and of the '.join(groups)}; say which: {python} "
        f"(in the shell {shell})"
    )


def sort_options(
    verb: str, flat: Mapping[str, Any], groups: Groups, grouped: Mapping[str, Any]
) -> Values:
    """Give each option to its group.

    Args:
        verb: whose options they are, for the words of an error.
        flat: options by their short names.
        groups: what each group takes.
        grouped: options by group, or None for a group of which none was given.

    Raises:
        DalmError: no group takes a name, several do, or an option is given twice.
    """
    values = {group: dict(grouped.get(group) or {}) for group in groups}
    places = homes(groups)
    for short, value in flat.items():
        if short not in places:
            raise DalmError(f"{verb} has no option {short!r}. {did_you_mean(short, places)}")
        if len(places[short]) > 1:
            raise clash(short, places[short])
        group, _, name = places[short][0].partition(".")
        if name in values[group]:
            raise DalmError(
                f"{verb} got {short!r} twice, by itself and in {group}_options; give it once"
            )
        values[group][name] = str(value) if isinstance(value, torch.device) else value
    return values


def data_of(data: str | Path | Data | Any, options: Mapping[str, Any], y: Any = None) -> Data:
    """The data themselves, loaded with their options unless they are there already.

    Args:
        data: data, or what `load_data` takes.
        options: of `load_data`.
        y: labels of data in memory.

    Raises:
        DalmError: loaded data were given options.
    """
    if not isinstance(data, Data):
        return load_data(data, y, **options)
    if y is not None:
        raise DalmError(f"{data.name} are loaded already, so labels come too late; give them there")
    if options:
        raise DalmError(
            f"{data.name} are loaded already, so {', '.join(options)} cannot change them; give "
            "options of data to load_data, or the name of the data to this verb"
        )
    return data


def signature_groups(function: Callable[..., Any]) -> Iterator[str]:
    """The groups of options that a verb's signature names."""
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        for note in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(note, OptionsOf):
                yield from note.groups
