"""The conformance suite that every family passes, yours too.

from dalm.testing import TestCase, checks

@pytest.mark.parametrize("check", checks(TestCase(MyFamily)), ids=lambda check: check.name)
def test_my_family(check):
check()
"""

from dalm.testing.cases import TestCase
from dalm.testing.conformance import Check, checks

__all__ = [
    "Check",
    "TestCase",
    "checks",
]
