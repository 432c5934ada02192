"""Training: one `fit` for every family, and the run folder that it writes."""

from dalm.train.fit import fit
from dalm.train.options import Diverged, Options
from dalm.train.run import Run

__all__ = ["Diverged", "Options", "Run", "fit"]
