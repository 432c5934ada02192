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

import itertools
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


def prove_one(task: str, family: str, seconds: float) -> Json:
    """Fit one family in a folder of its own and prove it."""
    path = ROOT / "runs" / "proof" / f"{task}-{family}"
    shutil.rmtree(path, ignore_errors=True)
    if task == "digits":
        data = dalm.load_data("digits")
    else:
        data = dalm.load_data(MNIST, binary=family in BINARY)
    run = fit(family, data, seconds=seconds, out=path)
    record = prove(run, data).to_json()
    claim = record["claimed"] * record["n"] * data.spec.dims / 8
    sizes = {"claim_bytes": claim, "allowed_bytes": 1.001 * claim + 192}
    return sizes | {"levels": data.spec.levels} | record


def main() -> None:
    options = arguments(
        __doc__, tasks=("digits", "mnist"), families=DENSITIES, seconds=60.0, again=False
    )
    seconds = 1.0 if options.quick else options.seconds
    path = place("proof", options.quick)
    records: Json = json.loads(path.read_text())["results"] if path.exists() else {}
    for task, family in itertools.product(options.tasks, options.families):
        name = f"{task}-{family}"
        if options.again or name not in records:
            records[name] = prove_one(task, family, seconds)
            save("proof", {"results": records}, options.quick)
    columns = ("claim_bytes", "bytes", "allowed_bytes", "sealed", "encode_mb_s", "decode_mb_s")
    rows = [[name, *map(record.get, columns)] for name, record in records.items()]
    table("proof", ["model", *columns], rows)


if __name__ == "__main__":
    main()
