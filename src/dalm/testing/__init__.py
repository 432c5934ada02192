"""The conformance suite that every family passes, yours too.

from dalm.testing import Subject, checks

@pytest.mark.parametrize("check", checks(Subject(MyFamily)), ids=lambda check: check.name)
def test_my_family(check):
check()
"""

from dalm.testing.cases import TestCase
from dalm.testing.conformance import Check, checks

__all__ = [
    "Check",
    "Subject",
    "TestCase",
    "checks",
]
