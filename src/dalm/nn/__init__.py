"""Building blocks without knowledge of any family."""

from dalm.nn.blocks import Down, Up, concat_condition, mlp, one_hot, pyramid_sizes
from dalm.nn.causal import GatedLayer, HorizontalConv, VerticalConv, gate, pointwise
from dalm.nn.incremental import IncrementalDecoder
from dalm.nn.shapes import Standardise, image_grid

__all__ = [
    "Down",
    "GatedLayer",
    "HorizontalConv",
    "IncrementalDecoder",
    "Standardise",
    "Up",
    "VerticalConv",
    "concat_condition",
    "gate",
    "image_grid",
    "mlp",
    "one_hot",
    "pointwise",
    "pyramid_sizes",
]
