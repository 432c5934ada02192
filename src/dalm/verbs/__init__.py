"""The verbs that cross rooms: fit by name, load, sample, score, compare, report, compress,
decompress, prove.

Each takes names or objects: `"vae"` or a model, `"digits"` or data, a folder or a run.
"""

from dalm.verbs.archives import compress, decompress
from dalm.verbs.codecs import codecs
from dalm.verbs.comparison import compare, report
from dalm.verbs.models import catalogue, family_of, fit, load, make, sample
from dalm.verbs.proof import prove
from dalm.verbs.scores import score

__all__ = [
    "catalogue",
    "codecs",
    "compare",
    "compress",
    "decompress",
    "family_of",
    "fit",
    "load",
    "make",
    "prove",
    "report",
    "sample",
    "score",
]
