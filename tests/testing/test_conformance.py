"""Every family passes the one suite; every mutant is caught by it."""

import pytest
from cases import CASES as FAMILY_CASES
from mutants import MUTANTS

from dalm.errors import DalmError
from dalm.models import FAMILIES, REFERENCES, Copycat, Histogram, Noise
from dalm.testing import TestCase, checks

ALL = [*FAMILY_CASES.values(), TestCase(Copycat), TestCase(Histogram), TestCase(Noise)]
CHECKED = [check for case in ALL for check in checks(case)]


@pytest.mark.parametrize(
    "check", CHECKED, ids=lambda check: f"{check.case.family.family}-{check.name}"
)
def test_conforms(check):
    check()  # raises AssertionError with what was expected and what was found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.family.family)
def test_mutant_is_caught(mutant):
    caught = []
    for check in checks(TestCase(mutant.family, mutant.options)):
        try:
            check()
        except AssertionError:
            caught.append(check.name)
        except DalmError:  # a mutant may also break what another check relies on
            continue
    assert mutant.caught_by in caught, (
        f"{mutant.family.family}: {mutant.bug}; caught only by {caught}"
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.family.family)
def test_what_catches_a_mutant_clears_its_parent(mutant):
    [parent] = mutant.family.__bases__
    case = TestCase(parent, mutant.options)
    [check] = [check for check in checks(case) if check.name == mutant.caught_by]
    check()  # raises AssertionError if it accuses a right family


def test_there_are_mutants_for_every_promise():
    assert {mutant.caught_by for mutant in MUTANTS} == {check.name for check in CHECKED}


def test_every_family_is_checked():
    assert {check.case.family for check in CHECKED} >= set(FAMILIES) | set(REFERENCES)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        (
            "gaussian",
            {
                "mass_sums_to_one",
                "density_integrates_to_one",
                "samples_follow_the_mass",
                "rows_are_scored_alone",
            },
        ),
        (
            "discriminant",
            {
                "mass_sums_to_one",
                "density_integrates_to_one",
                "samples_follow_the_mass",
                "classes_add_up",
            },
        ),
        (
            "kde",
            {
                "mass_sums_to_one",
                "density_integrates_to_one",
                "samples_follow_the_mass",
                "classes_add_up",
            },
        ),
        (
            "pixelcnn",
            {
                "mass_sums_to_one",
                "samples_follow_the_mass",
                "classes_add_up",
                "every_parameter_learns",
                "learning_helps",
            },
        ),
        (
            "vae",
            {
                "mass_sums_to_one",
                "density_integrates_to_one",
                "classes_add_up",
                "more_samples_tighten",
                "codes_have_their_shape",
            },
        ),
        ("dcgan", {"every_parameter_learns", "samples_are_valid", "survives_saving"}),
    ],
)
def test_checks_follow_capabilities(family, names):
    assert names <= {check.name for check in checks(FAMILY_CASES[family])}
