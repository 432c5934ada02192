"""Arithmetic that gives the same bits on every machine, and what predicts data in it: what an
entropy coder needs.
"""

from dalm.exact.kernels import KernelPredictor, kernel_masses
from dalm.exact.networks import ExactArithmetic
from dalm.exact.normal import NormalPredictor
from dalm.exact.predictors import Independent, Mixture, PerClass, Predictor

__all__ = [
    "ExactArithmetic",
    "Independent",
    "KernelPredictor",
    "Mixture",
    "NormalPredictor",
    "PerClass",
    "Predictor",
    "kernel_masses",
]
