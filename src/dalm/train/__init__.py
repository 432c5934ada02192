"""Training: one `fit` for every family, and the run folder that it writes."""

from dalm.train.fit import fit
from dalm.train.options import Diverged, FitOptions
from dalm.train.run import Run
from dalm.train.session import Listener, Session

__all__ = ["Diverged", "FitOptions", "Listener", "Run", "Session", "fit"]
