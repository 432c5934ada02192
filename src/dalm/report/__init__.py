"""Run folders to tables, figures and one self-contained page; reads what `train` and `metrics` left
on disk, and imports neither.
"""

from __future__ import annotations

from dalm.report.figures import save_grid
from dalm.report.page import build
from dalm.report.table import terminal_table

__all__ = ["build", "save_grid", "terminal_table"]
