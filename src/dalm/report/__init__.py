"""Run folders to tables, figures and one self-contained page; reads what training and scoring left
on disk (`dalm.records`), and imports neither.
"""

from __future__ import annotations

from dalm.report.images import save_grid
from dalm.report.page import build
from dalm.report.table import terminal_table

__all__ = ["build", "save_grid", "terminal_table"]
