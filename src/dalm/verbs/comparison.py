"""Every family under one budget, and the page about them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dalm
from dalm import report as pages
from dalm.codec import extra
from dalm.core import Generative
from dalm.data import Data, load_data
from dalm.errors import DalmError
from dalm.metrics import meanings
from dalm.models import FAMILIES, REFERENCES, Copycat
from dalm.records import (
    Json,
    check_run,
    machine,
    read_scores,
    read_signed,
    require_absent,
    with_digest,
    write,
)
from dalm.records.score import score_records
from dalm.train import Diverged, FitOptions
from dalm.train import fit as train
from dalm.train.options import resolve
from dalm.verbs.codecs import codecs
from dalm.verbs.models import family_of, make, writable
from dalm.verbs.proof import prove as seal
from dalm.verbs.scores import score


def compare(
    data: str | Path | Data,
    *,
    families: Sequence[str] | None = None,
    out: str | Path | None = None,
    conditional: bool = False,
    prove: bool = False,
    resume: bool = False,
    progress: bool = True,
    show: Callable[[list[Json]], None] | None = None,
    **options: Any,
) -> Json:
    """Fit every family under one budget, score all on the test split, and write scoreboard and
    report.

    A family that fails gets a row that says why. Reference rows stand beside the families: held-out
    real data, a copycat, a histogram, noise.

    Args:
        data: data, or what `load_data` takes.
        families: names of families; all by default.
        out: the folder, which must not exist; by default `runs/compare-DATA`.
        conditional: condition on class labels each family that can.
        prove: prove each likelihood by a file, as `dalm.verbs.prove` does.
        resume: keep what is finished in `out`, other families too, and go on.
        progress: show progress bars.
        show: called with the rows so far whenever there is a new one.
        **options: of `dalm.train.fit`, the same for all.

    Returns:
        The scoreboard, as in `scoreboard.json`.

    Raises:
        DalmError: data, options or folder do not suit, or `out` holds a comparison of another kind.
    """
    loaded = data if isinstance(data, Data) else load_data(data)
    if conditional and not loaded.spec.classes:
        raise DalmError(
            f"conditional needs class labels, and {loaded.name} has none; leave it out, or give "
            "data with labels"
        )
    folder = Path(out) if out is not None else Path(f"runs/compare-{loaded.name}")
    asked = [family_of(name).family for name in families or [family.family for family in FAMILIES]]
    names = [name for name in dict.fromkeys(asked) if name not in _RIVALS]
    chosen = resolve(FitOptions(**options), Copycat(loaded.spec), len(loaded.train))
    if chosen.learn_from != "train":
        raise DalmError(
            "compare chooses itself what each row learns from; leave "
            f"learn_from={chosen.learn_from!r} out"
        )
    board = _board(loaded, chosen, conditional)
    board["rows"] = _free(folder, board, resume)
    folder.mkdir(parents=True, exist_ok=True)
    _keep(folder, board)
    for name in [*names, *_RIVALS]:
        row = _row(
            folder,
            name,
            loaded,
            conditional=conditional,
            **options
            | {"seed": chosen.seed, "prove": prove, "resume": resume, "progress": progress},
        )
        board["rows"] = [*(there for there in board["rows"] if there["name"] != name), row]
        _keep(folder, board)
        if show:
            show(board["rows"])
    if prove and loaded.spec.levels and extra.installed():
        board["codecs"] = codecs(loaded, runs=folder).to_json()
        _keep(folder, board)
    return board | {"report": str(report([folder]))}


def _keep(folder: Path, board: Json) -> None:
    write(folder / "scoreboard.json", json.dumps(with_digest(board), indent=1))


def _free(folder: Path, board: Json, resume: bool) -> list[Json]:
    """The rows that are there already. Refuses a folder that is taken, or that holds another
    comparison.
    """
    if not (resume and (folder / "scoreboard.json").exists()):
        require_absent(folder)
        return []
    there = _kept(folder)
    before, now = (
        {k: b[k] for k in ("fingerprint", "conditional")} | b.get("fit", {}) for b in (there, board)
    )
    for name in now:
        if name != "device" and before.get(name) != now[name]:
            known = f"{folder} holds a comparison with {name} {before.get(name)}, not {now[name]}"
            raise DalmError(f"{known}; ask for the same, or choose another folder")
    return list(there["rows"])


def _kept(folder: Path) -> Json:
    return read_signed(folder / "scoreboard.json", "Restore it, or compare again in another folder")


_RIVALS: dict[str, type[Generative]] = {"held-out real data": Copycat} | {
    family.family: family for family in REFERENCES
}
"""The reference rows. Held-out real data are a copycat of the validation split."""


def _board(data: Data, chosen: FitOptions, conditional: bool) -> Json:
    spec = asdict(data.spec) | {"shape": list(data.spec.shape)}
    budget = {name: value for name in ("seconds", "steps") if (value := getattr(chosen, name))}
    board = {
        "format": 1,
        "dalm": dalm.__version__,
        "data": data.name,
        "spec": spec,
        "fingerprint": data.fingerprint,
        "seed": chosen.seed,
        "conditional": conditional,
        "fit": chosen.to_dict(),
    }
    board |= {
        "date": datetime.date.today().isoformat(),
        "machine": machine(str(chosen.device)),
        "budget": budget,
    }
    return board | {"notes": list(data.notes), "rows": [], "explain": meanings()}


def _row(
    folder: Path, name: str, data: Data, *, conditional: bool, seed: int, **options: Any
) -> Json:
    """Fit and score one family or reference. What goes wrong becomes the row's error: one failure
    must not lose the others.
    """
    family = _RIVALS.get(name) or family_of(name)
    path = folder / name.replace(" ", "-")
    row: Json = {
        "name": name,
        "family": family.family,
        "reference": name in _RIVALS,
        "likelihood": getattr(family, "likelihood", None),
    }
    row |= {
        "bits_per_dim": None,
        "metrics": {},
        "seconds": None,
        "parameters": None,
        "samples_per_second": None,
        "run": None,
        "error": None,
    }
    own = {"conditional": True} if conditional and "conditional" in family.declared() else {}
    split = "val" if name == "held-out real data" else "train"
    try:
        found = _found(
            path,
            make(family, data, seed, **own),
            data,
            seed=seed,
            **options | {"learn_from": split},
        )
    except Exception as error:
        reason = (
            str(error)
            if isinstance(error, DalmError | Diverged)
            else f"{type(error).__name__}: {error}"
        )
        return row | {"error": reason, "run": path.name if path.exists() else None}
    metrics = {one["metric"]: one for one in score_records(found)}
    row |= {
        key: found[key] for key in ("likelihood", "seconds", "parameters", "samples_per_second")
    }
    return row | {
        "bits_per_dim": metrics.pop("bits_per_dim", None),
        "metrics": metrics,
        "run": path.name,
    }


def _found(
    path: Path, model: Generative, data: Data, *, seed: int, prove: bool, **options: Any
) -> Json:
    """Fit, score and perhaps prove, or what was found already with this seed."""
    run = train(model, data, out=path, seed=seed, **options)
    if run.meta["state"] == "stopped":
        raise KeyboardInterrupt
    found = read_scores(path, run.meta)
    found = found if found and found["seed"] == seed else score(run, data, seed=seed).to_json()
    if prove and "proof" not in found:
        seal(run, data)
        found = read_scores(path, run.meta) or found
    return found


def report(folders: Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Build one page from run folders or a comparison, by default `report.html` in the first of
    them.

    Raises:
        DalmError: a folder is neither a run nor a comparison, cannot be read, or was edited.
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise DalmError("a report needs at least one run folder, or a comparison; none was given")
    try:
        return pages.build(
            paths, writable(out) if out is not None else paths[0] / "report.html", _check
        )
    except ValueError as error:
        raise DalmError(str(error)) from None


def _check(folder: Path) -> None:
    """Raise DalmError unless a comparison or a run is as it was written."""
    _kept(folder) if (folder / "scoreboard.json").exists() else check_run(folder)
