"""The run folder: everything about one fitted model, for people and programs to read.

A file is written beside its place and then renamed, so a kill at any moment leaves the old file or
the new one, whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import dalm
from dalm.core import Generative, build, config
from dalm.data import Data
from dalm.errors import DalmError
from dalm.train.options import Options, available

FORMAT = 1
Json = dict[str, Any]


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is whole, and not at all otherwise.

    Raises:
        DalmError: another process is writing it.
    """
    beside = path.with_name(f".{path.name[:200]}.partial")
    with _locked(beside, path) as file:
        try:
            yield file
            file.flush()
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def _locked(beside: Path, path: Path) -> BinaryIO:
    """An empty file that no other process writes, while it is open."""
    while True:
        file = os.fdopen(os.open(beside, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise DalmError(
                f"another process is writing {path}; wait for it, or choose another name"
            ) from None
        except OSError:  # a file system without locks
            pass
        if beside.exists() and os.path.samestat(beside.stat(), os.fstat(file.fileno())):
            file.truncate()
            return file
        file.close()  # the one that held it has given it its name in the meantime


def write(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all."""
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def require_absent(folder: Path) -> None:
    """Raise DalmError unless a folder of this name can be made."""
    if folder.exists():
        raise DalmError(
            f"{folder} exists already; nothing was changed. Choose another folder, or go on with "
            "what is in it by --resume"
        )
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise DalmError(
            f"{folder} cannot be made: {above} is not a folder that can be written to. Choose "
            "another"
        )


def write_tensors(path: Path, tensors: dict[str, Tensor], note: Json | None = None) -> str:
    """Write named tensors and a JSON note as safetensors; returns the SHA-256 of the file."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    content = save(plain, metadata={"dalm": json.dumps(note or {})})
    write(path, content)
    return hashlib.sha256(content).hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Json]:
    """Read what `write_tensors` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in list(file.keys())}, json.loads(
                (file.metadata() or {}).get("dalm", "{}")
            )
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise DalmError(
            f"{path} cannot be read as weights: {error}. Fit the model again, or restore the file"
        ) from None


def machine(device: str = "cpu") -> Json:
    """What a number was measured on."""
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def about(data: Data) -> Json:
    """What a run keeps of its data: enough to load them again and to know that they are the same."""
    splits = {name: len(getattr(data, name)) for name in ("train", "val", "test")}
    return {
        "name": data.name,
        "source": str(data.source),
        "options": data.options,
        "fingerprint": data.fingerprint,
        "splits": splits,
        "classes": list(data.classes),
        "notes": list(data.notes),
    }


def digest(meta: Json) -> str:
    """SHA-256 of a run's description without the digest itself."""
    rest = {key: value for key, value in meta.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def with_digest(meta: Json) -> Json:
    """A description with its digest."""
    return meta | {"digest": digest(meta)}


def read_signed(path: Path, remedy: str) -> Json:
    """A JSON object that `with_digest` closed, or DalmError if it is not as it was written;
    `remedy` says what would help.
    """
    try:
        found = json.loads(path.read_text())
        sound = found["digest"] == digest(found)
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise DalmError(
            f"{path} was edited or damaged after it was written, or has no digest, so its numbers "
            f"cannot be trusted. {remedy}"
        )
    return dict(found)


@dataclass
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

    @staticmethod
    def create(folder: Path, model: Generative, data: Data, options: Options) -> Run:
        """Start a run beside the folder that it will be in; `publish` puts it there, whole."""
        parameters = sum(p.numel() for p in model.parameters())
        meta: Json = {
            "format": FORMAT,
            "dalm": dalm.__version__,
            "state": "running",
            "model": config(model),
            "data": about(data),
        }
        meta |= {
            "fit": asdict(options),
            "machine": machine(options.device or "cpu"),
            "seconds": 0.0,
            "parameters": parameters,
        }
        meta |= {"error": None, "weights": None}
        beside = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        run = Run(beside, model, meta)
        run.update()
        return run

    def publish(self, folder: Path) -> Run:
        """Put the run in its folder at once."""
        self.path = self.path.rename(folder)
        return self

    def update(self, **changes: Any) -> None:
        """Change the description."""
        self.meta = with_digest(self.meta | changes)
        write(self.path / "run.json", json.dumps(self.meta, indent=1))

    def finish(
        self, state: str, weights: dict[str, Tensor], seconds: float, error: str | None = None
    ) -> None:
        """Write the weights and close the run: `done`, `stopped` or `failed`."""
        for found in (
            "metrics.json",
            "gallery.npz",
        ):  # of other weights, if this run was scored before it was resumed
            (self.path / found).unlink(missing_ok=True)
        if (
            self.meta["weights"] is not None
        ):  # of an earlier stop; a kill must not leave new weights beside their hash
            self.update(weights=None)
        sha = write_tensors(self.path / "weights.safetensors", weights)
        self.update(
            state=state,
            weights=sha,
            seconds=round(seconds, 3),
            error=error,
            parameters=self._size(weights),
        )
        if state == "done":
            (self.path / "checkpoint.safetensors").unlink(missing_ok=True)

    def keep_scores(self, found: Json) -> Json:
        """Write `metrics.json`: what was found, of which weights, closed by a digest."""
        told = with_digest(found | {"weights": self.meta["weights"]})
        write(self.path / "metrics.json", json.dumps(told, indent=1))
        return told

    def _size(self, weights: dict[str, Tensor]) -> int:
        """Learned numbers: parameters, or for a model without any everything it remembers."""
        learned = sum(p.numel() for p in self.model.parameters())
        return learned or sum(value.numel() for value in weights.values())

    @staticmethod
    def open(path: str | Path, device: str = "cpu") -> Run:
        """Read a run folder, checking that it is whole and unedited."""
        folder = Path(path)
        meta = read_meta(folder)
        available(device)
        if meta["weights"] is None:
            raise DalmError(
                f"the run {folder} is incomplete (state {meta['state']!r}, no weights); finish it "
                "with --resume"
            )
        weights = unchanged(folder, meta)
        return Run(folder, build(meta["model"], read_tensors(weights)[0]).to(device).eval(), meta)


def runs_below(folder: Path) -> list[Path]:
    """The folders of all runs at or below a folder, but for those that are being begun."""
    return [
        path.parent
        for path in sorted(folder.glob("**/run.json"))
        if path.is_file() and not path.parent.name.startswith(".")
    ]


def read_meta(folder: Path) -> Json:
    """The description in a run folder, checked for version and edits."""
    path = folder / "run.json"
    if not path.exists():
        raise DalmError(f"{folder} is not a run: it has no run.json. Runs are made by `dalm fit`")
    try:
        meta = json.loads(path.read_text())
        version = int(meta["format"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DalmError(
            f"{path} is not the description of a run: {error!r}. Restore it, or fit again"
        ) from None
    if version != FORMAT:
        what = (
            f"newer than {FORMAT}, the newest read here; update dalm"
            if version > FORMAT
            else "unknown; fit again"
        )
        raise DalmError(f"{folder} has run format {version}, {what}")
    if meta.get("digest") != digest(meta):
        raise DalmError(
            f"{path} was edited after the run wrote it, so its numbers cannot be trusted. Restore "
            "it, or fit again"
        )
    return dict(meta)


def unchanged(folder: Path, meta: Json) -> Path:
    """The weights of a run, checked against what its description says of them."""
    weights = folder / "weights.safetensors"
    if not weights.exists():
        raise DalmError(
            f"the run {folder} is incomplete (state {meta['state']!r}, no weights); finish it with "
            "--resume, or restore them"
        )
    if hashlib.sha256(weights.read_bytes()).hexdigest() != meta["weights"]:
        raise DalmError(
            f"{weights} is not what the run wrote: it was edited or damaged. Restore it, or fit "
            "again"
        )
    return weights


def read_scores(folder: Path, meta: Json) -> Json | None:
    """What `score` found of the run in a folder, or None if it was not scored. DalmError if that
    was edited, or is of other weights.
    """
    path = folder / "metrics.json"
    remedy = f"Restore it, or score the run again: dalm score {folder}"
    if not path.exists():
        return None
    found = read_signed(path, remedy)
    if found["weights"] != meta["weights"]:
        raise DalmError(f"{path} was measured on other weights than those in {folder}. {remedy}")
    return found


def check_run(folder: Path) -> None:
    """Raise DalmError unless the run in a folder, finished or not, and its scores are as they were
    written.
    """
    meta = read_meta(folder)
    if meta["weights"] is not None:
        unchanged(folder, meta)
    read_scores(folder, meta)
