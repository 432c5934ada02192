"""Every family passes the one suite; every mutant is caught by it."""

import pytest
from mutants import MUTANTS
from cases import CASES as SUBJECTS

from dalm.core import signature
from dalm.errors import DalmError
from dalm.models import FAMILIES, REFERENCES, Copycat, Histogram, Noise
from dalm.testing import TestCase, checks

EXPECTED_FAILURES: dict[tuple[str, str], str] = {}
"""(family, check): the reason in words. Strict: a check that passes must not be listed."""

ALL = [*SUBJECTS.values(), TestCase(Copycat), TestCase(Histogram), TestCase(Noise)]
CASES = [check for subject in ALL for check in checks(subject)]


@pytest.mark.parametrize(
    "check", CASES, ids=lambda check: f"{check.subject.family.family}-{check.name}"
)
def test_conforms(check):
    if (check.subject.family.family, check.name) in EXPECTED_FAILURES:
        with pytest.raises(AssertionError):
            check()
    else:
        check()
        assert check.name


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


def test_there_are_mutants_for_every_promise():
    assert len(MUTANTS) >= 8
    assert {mutant.caught_by for mutant in MUTANTS} >= {check.name for check in CASES} - {
        "more_samples_tighten",
        "codes_have_their_shape",
    }


def test_every_family_is_checked():
    assert {check.subject.family for check in CASES} >= set(FAMILIES) | set(REFERENCES)


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
    assert names <= {check.name for check in checks(SUBJECTS[family])}


def test_options_have_one_meaning():
    from dataclasses import fields

    from dalm.train import Options

    training = {field.name for field in fields(Options)} | {"out", "resume", "progress"}
    for family in FAMILIES:
        assert not training & set(signature(family)), (
            f"{family.family} has options that fit has too"
        )
