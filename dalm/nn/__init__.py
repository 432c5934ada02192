"""Building blocks without knowledge of any family."""

from dalm.nn.blocks import Down, Up, beside, halvings, mlp, one_hot
from dalm.nn.causal import Columns, Rows, pointwise
from dalm.nn.exact import Exact
from dalm.nn.shapes import Scale, image_grid

__all__ = ["Columns", "Down", "Exact", "Rows", "Scale", "Up", "beside", "halvings", "image_grid", "mlp", "one_hot", "pointwise"]
