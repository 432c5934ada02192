"""Data: named sources, files and folders, each with three fixed splits and a Spec.

`load_data` is the only verb. What it returns says in words how it was split and what was converted
or left out. A new source is a file with an object `Source`, and an entry of `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dalm.data.dataset import Data, Split
from dalm.data.digits import DIGITS
from dalm.data.files import FILE
from dalm.data.folder import IMAGE_FOLDER
from dalm.data.idx import MNIST_FOLDER
from dalm.data.labels import class_labels, class_number
from dalm.data.memory import ARRAY, with_arrays
from dalm.data.options import DataOptions, RowOptions, with_keywords
from dalm.data.rows import rows_as
from dalm.data.source import Source, named_source
from dalm.data.toys import CHECKERBOARD, GRID25, MOONS, RING8, SPIRALS
from dalm.errors import DalmError, did_you_mean
from dalm.options import Option

__all__ = [
    "SOURCES",
    "Data",
    "DataOptions",
    "Source",
    "Split",
    "class_labels",
    "class_number",
    "data_options",
    "load_data",
    "named_source",
    "named_sources",
    "rows_as",
]

SOURCES: tuple[Source[Any], ...] = (
    DIGITS,
    RING8,
    GRID25,
    MOONS,
    CHECKERBOARD,
    SPIRALS,
    ARRAY,
    MNIST_FOLDER,
    IMAGE_FOLDER,
    FILE,
)
"""What can be loaded, tried in this order: names come before paths."""


def named_sources() -> dict[str, str]:
    """What can be loaded by name, with a line about each.

    >>> named_sources()["moons"]
    'points of the plane: two interleaved half circles, blurred; true density known'
    """
    return {source.title: source.about for source in SOURCES if source.named}


def data_options() -> dict[str, Option]:
    """Every option that some source takes, by name.

    >>> [name for name in data_options() if name.startswith("g")]
    ['grey', 'group']
    """
    options: dict[str, Option] = {}
    for source in SOURCES:
        options |= source.options.declared()
    return options


@with_keywords(data_options())
def load_data(source: str | Path | Any, y: Any = None, **options: Any) -> Data:
    """Load data and split them into train, val and test, always the same way.

    Integer labels of -1 mean unlabelled.

    Args:
        source: a name in `named_sources()`; a file (.npz, .npy, IDX or IDX.gz); a folder of images
            or of MNIST's files; or data in memory: an array, tensor or list, a tuple (X, y), a
            dictionary of arrays, a DataFrame of numbers, a torch Dataset.
        y: labels of data in memory, one for each row. `group` and `order` may be such arrays too.
        **options: what the source takes; `data_options()` declares them all.

    Raises:
        DalmError: if there is no such source, it cannot be read, it does not take an option, or its
            values are not valid data.

    >>> data = load_data("digits")
    >>> data.spec, len(data.train), len(data.val), len(data.test)
    (Spec(shape=(1, 8, 8), levels=17, classes=10), 1100, 197, 500)
    """
    more = {} if y is None else {"y": y}
    for name in ("group", "order"):
        if hasattr(options.get(name), "__len__") and not isinstance(options[name], str):
            more[name] = options[name]
            options[name] = name
    if more:
        source = with_arrays(source, _columns_of(options, more), more)
    matching = find_source(source)
    return matching.load(source, _options_of(matching, options))


def _columns_of(options: Mapping[str, Any], more: Mapping[str, Any]) -> RowOptions:
    """Which columns of the data are labels, groups or order, where those came with the data."""
    names = ("label", "group", "order")
    asked: dict[str, Any] = {name: options.get(name) for name in names if name not in more}
    return RowOptions(**asked)


def find_source(value: object) -> Source[Any]:
    """The first of `SOURCES` that loads a value.

    Raises:
        DalmError: if none does; it lists what would work.

    >>> find_source("digits").title
    'digits'
    """
    for source in SOURCES:
        if source.matches(value):
            return source
    raise _no_source(value)


def _no_source(value: object) -> DalmError:
    names = named_sources()
    if isinstance(value, str | Path):
        fault = f"there is no data {str(value)!r}: no such file, folder or name"
        known_names = did_you_mean(str(value), names)
    else:
        fault = f"expected a name, a path or data in memory, got {type(value).__name__}"
        known_names = f"There are: {', '.join(sorted(names))}."
    others = "; ".join(source.about for source in SOURCES if not source.named)
    return DalmError(f"{fault}. {known_names} Beside these names, load_data takes {others}")


def _options_of(source: Source[Any], options: Mapping[str, Any]) -> DataOptions:
    """The options, checked. One that the source does not take may be given at its default, which
    asks for nothing.
    """
    taken = source.options.declared()
    every = data_options()
    for name, value in options.items():
        if name not in every:
            raise DalmError(f"load_data has no option {name!r}. {did_you_mean(name, every)}")
        if name not in taken and every[name].check("load_data", value) != every[name].default:
            raise DalmError(
                f"{source.title} cannot take the option {name!r}; it takes {', '.join(taken)}"
            )
    return source.options(**{name: value for name, value in options.items() if name in taken})
