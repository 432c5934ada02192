"""A fitted model and its folder: what of a run's records needs torch.

`dalm.records` reads and writes all the rest of the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import dalm
from dalm.core import Generative, build, config
from dalm.data import Data
from dalm.errors import DalmError
from dalm.records import Json, check_weights, machine, read_meta, write, write_meta, write_scores
from dalm.records.locks import beside
from dalm.records.run import FORMAT, remove_scores
from dalm.records.status import run_state
from dalm.train.options import FitOptions, available

WHY = {
    "running": "it is being trained; wait for it",
    "crashed": "the process that trained it has died; finish it with --resume (resume=True)",
    "stopped": "it has no weights; finish it with --resume (resume=True)",
    "failed": "it failed before it had weights; its run.json says why",
    "done": "it has no weights; restore them, or fit again",
}
"""What to do about a run without weights, by its state."""
NOTE = "dalm"
"""The entry of a safetensors header that holds our JSON note."""


def write_tensors(path: Path, tensors: dict[str, Tensor], note: Json | None = None) -> str:
    """Write named tensors and a note as safetensors; returns the SHA-256 of the file.

    Args:
        path: the file.
        tensors: of any shape, type, layout and device, by name.
        note: a JSON object that is kept with them.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file.safetensors")
    ...     _ = write_tensors(path, {"a": torch.ones(2)}, {"step": 3})
    ...     read_tensors(path)
    ({'a': tensor([1., 1.])}, {'step': 3})
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    content = save(plain, metadata={NOTE: json.dumps(note or {})})
    write(path, content)
    return hashlib.sha256(content).hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Json]:
    """The tensors and the note that `write_tensors` wrote.

    Raises:
        DalmError: the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            # Copied: a file that is mapped into memory cannot be replaced on Windows.
            tensors = {name: file.get_tensor(name).clone() for name in names}
            note = json.loads((file.metadata() or {}).get(NOTE, "{}"))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise DalmError(
            f"{path} cannot be read as weights: {error}. Fit the model again, or restore the file"
        ) from None
    return tensors, note


def about(data: Data) -> Json:
    """What a run keeps of its data: enough to load them again, and to know them again."""
    splits = {name: len(getattr(data, name)) for name in ("train", "val", "test")}
    return {
        "name": data.name,
        "source": str(data.source),
        "options": data.options,
        "fingerprint": data.fingerprint,
        "splits": splits,
        "classes": list(data.classes),
        "notes": list(data.notes),
        "warnings": list(data.warnings),
        "recorded": data.recorded,
        "grades": None if data.grades is None else asdict(data.grades),
    }


@dataclass(repr=False)
class Run:
    """A fitted model and the folder that tells its story.

    Args:
        path: the folder.
        model: the model, in evaluation mode.
        meta: what `run.json` says; see docs/design.md.
    """

    path: Path
    model: Generative
    meta: Json = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The run in one line."""
        meta = self.meta
        size = f"{meta.get('parameters', 0):,} parameters, {meta.get('seconds', 0.0):.1f} s"
        return f"{self.path}  {self.model.family} on {meta['data']['name']}: {size}"

    def __repr__(self) -> str:
        state = self.meta.get("state")
        return f"Run({self.summary})" if state == "done" else f"Run({self.summary}, {state})"

    @staticmethod
    def create(folder: Path, model: Generative, data: Data, options: FitOptions) -> Run:
        """Start a run beside the folder that it will be in; `publish` puts it there, whole.

        Args:
            folder: where it will be.
            model: before its first step, or fitted.
            data: what it learns from.
            options: all of them, resolved.
        """
        meta: Json = {
            "format": FORMAT,
            "dalm": dalm.__version__,
            "state": "running",
            "model": config(model),
            "data": about(data),
            "fit": options.to_dict(),
            "machine": machine(options.device or "cpu"),
            "seconds": 0.0,
            "parameters": _learned(model),
            "error": None,
            "weights": None,
        }
        for left in folder.parent.glob(f".{folder.name}.*.partial"):
            shutil.rmtree(
                left, ignore_errors=True
            )  # of a fit that was killed before its first step
        partial = beside(folder, f"{os.getpid()}.partial")
        partial.mkdir(parents=True)
        return Run(partial, model, write_meta(partial, meta))

    def publish(self, folder: Path) -> Run:
        """Put the run in its folder at once.

        Raises:
            DalmError: another process made that folder meanwhile.
        """
        with contextlib.suppress(OSError):
            folder.rmdir()  # an empty one, which Windows does not replace
        try:
            self.path = self.path.rename(folder)
        except OSError as error:
            if not folder.exists():
                raise
            shutil.rmtree(self.path, ignore_errors=True)
            raise DalmError(
                f"another process made {folder} meanwhile, so this fit came to nothing; choose "
                "another folder"
            ) from error
        return self

    def update(self, **changes: Any) -> None:
        """Change the description."""
        self.meta = write_meta(self.path, self.meta | changes)

    def finish(
        self, state: str, weights: dict[str, Tensor], seconds: float, error: str | None = None
    ) -> None:
        """Write the weights and close the run.

        Args:
            state: `"done"`, `"stopped"` or `"failed"`.
            weights: the result.
            seconds: that it took.
            error: why it failed.
        """
        remove_scores(self.path)  # of other weights, if it was scored before it was resumed
        if self.meta["weights"] is not None:
            # Of an earlier stop. A kill must not leave new weights beside the hash of old ones.
            self.update(weights=None)

        # A model without parameters has learned everything that it remembers.
        remembered = sum(value.numel() for value in weights.values())
        self.update(
            weights=write_tensors(self.path / "weights.safetensors", weights),
            state=state,
            seconds=round(seconds, 3),
            error=error,
            parameters=_learned(self.model) or remembered,
        )
        if state == "done":
            (self.path / "checkpoint.safetensors").unlink(missing_ok=True)

    def keep_scores(self, scores: Json) -> Json:
        """Write `metrics.json`: what was found, of which weights, closed by a digest."""
        return write_scores(self.path, scores, self.meta["weights"])

    @staticmethod
    def open(path: str | Path, device: str = "cpu") -> Run:
        """Read a run folder, checking that it is whole and unedited.

        Args:
            path: the folder.
            device: where the model goes.

        Raises:
            DalmError: it is no run, incomplete or edited, or there is no such device.
        """
        folder = Path(path)
        meta = read_meta(folder)
        available(device)
        if meta["weights"] is None:
            raise DalmError(f"the run {folder} is incomplete: {WHY[run_state(folder)]}")
        weights, _ = read_tensors(check_weights(folder, meta))
        model = build(meta["model"], weights).to(device)
        return Run(folder, model.eval(), meta)


def _learned(model: Generative) -> int:
    """How many numbers its parameters have."""
    return sum(parameter.numel() for parameter in model.parameters())
