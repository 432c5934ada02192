"""Every density family's likelihood as a file: the digits' test split, and 10,000 MNIST test
images.

    python benchmarks/proof.py [--tasks digits mnist] [--families gaussian …] [--seconds 60]
    [--again]

Each family is fitted (`--seconds` for those that learn by gradients), then proven as `dalm prove`
does: the test split is compressed, decoded in another process with another batch size and thread
count, and compared. The claim is the model's own log_prob. MNIST is raw for gaussian, discriminant
and the references, binarised for kde, pixelcnn and vae. Families measured before are kept unless
`--again`.
"""

from __future__ import annotations

import json
import shutil

from common import MNIST, ROOT, Json, arguments, place, save, table  # isort: skip

import dalm
from dalm.models import FAMILIES, REFERENCES
from dalm.models.dcgan import DCGAN
from dalm.models.reference import Copycat
from dalm.verbs import fit, prove

DENSITIES = tuple(
    family.family for family in (*FAMILIES, *REFERENCES) if family not in (DCGAN, Copycat)
)
BINARY = ("kde", "pixelcnn", "vae")


def prove_one(task: str, family: str, seconds: float, quick: bool) -> Json:
    """Fit one family in a folder of its own and prove it."""
    path = ROOT / "runs" / "proof" / f"{task}-{family}"
    shutil.rmtree(path, ignore_errors=True)
    data = (
        dalm.load_data("digits")
        if task == "digits"
        else dalm.load_data(MNIST, binary=family in BINARY)
    )
    run = fit(family, data, seconds=1.0 if quick else seconds, out=path)
    record = prove(run, data).to_json()
    entries = record["n"] * data.spec.dims
    claim = record["claimed"] * entries / 8
    return {
        "claim_bytes": claim,
        "allowed_bytes": 1.001 * claim + 192,
        "levels": data.spec.levels,
    } | record


def main() -> None:
    asked = arguments(
        __doc__, tasks=("digits", "mnist"), families=DENSITIES, seconds=60.0, again=False
    )
    path = place("proof", asked.quick)
    found: Json = json.loads(path.read_text())["results"] if path.exists() else {}
    for task in asked.tasks:
        for family in asked.families:
            if asked.again or f"{task}-{family}" not in found:
                found[f"{task}-{family}"] = prove_one(task, family, asked.seconds, asked.quick)
                save("proof", {"results": found}, asked.quick)
    columns = ("claim_bytes", "bytes", "allowed_bytes", "sealed", "encode_mb_s", "decode_mb_s")
    table(
        "proof",
        ["model", *columns],
        [[name, *(one.get(column) for column in columns)] for name, one in found.items()],
    )


if __name__ == "__main__":
    main()
