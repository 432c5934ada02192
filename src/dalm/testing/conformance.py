"""The conformance suite: which checks a family must pass follows from what it says it can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dalm.core import capabilities
from dalm.testing import coding, densities, general, invariances, learning
from dalm.testing.cases import REAL, TINY, TestCase

Run = Callable[[TestCase], None]


@dataclass(frozen=True)
class Check:
    """One check of one family; call it, and it raises AssertionError with what was expected and
    what was found.

    Args:
        name: of the check.
        run: what it does.
        case: the family.
    """

    name: str
    run: Run
    case: TestCase

    def __call__(self) -> None:
        """Run it."""
        self.run(self.case)


def _tiny(case: TestCase) -> bool:
    return case.suits(TINY)


def _real(case: TestCase) -> bool:
    return any(case.suits(spec) for spec in REAL)


def _vector(case: TestCase) -> bool:
    return case.suits(invariances.VECTOR)


def _exact(case: TestCase) -> bool:
    return getattr(case.family, "likelihood", None) == "exact"


def _tiny_exact(case: TestCase) -> bool:
    return _tiny(case) and _exact(case)


def _coded(case: TestCase) -> bool:
    return bool({"Autoregressive", "Variational"} & set(capabilities(case.family)))


def _always(case: TestCase) -> bool:
    return True


CHECKS: tuple[tuple[tuple[str, ...], Callable[[TestCase], bool], Run], ...] = (
    ((), _always, general.keeps_its_configuration),
    ((), _always, general.samples_are_valid),
    ((), _always, general.randomness_is_the_generators),
    ((), _always, general.survives_saving),
    ((), _always, general.leaves_no_trace),
    ((), _always, general.refuses_bad_input),
    (("Learner",), _always, learning.every_parameter_learns),
    (("Learner",), _always, learning.steps_repeat_themselves),
    (("Estimator",), _always, learning.passes_can_be_resumed),
    (("Latent",), _always, learning.codes_have_their_shape),
    (("Completer", "Density"), _tiny, learning.known_entries_stay),
    (("Density",), _exact, densities.rows_are_scored_alone),
    (("Density",), _tiny, densities.mass_sums_to_one),
    (("Density", "Learner"), _tiny, densities.learning_helps),
    (("Density",), _tiny_exact, densities.samples_follow_the_mass),
    (("Density",), _real, densities.density_integrates_to_one),
    (("Density",), _vector, invariances.units_do_not_matter),
    (("Density", "Estimator"), _vector, invariances.a_constant_entry_does_not_matter),
    (("Density", "Estimator"), _vector, invariances.copies_change_little),
    (("Density", "Estimator"), _vector, invariances.order_does_not_matter),
    (("Density", "conditional"), _tiny, densities.classes_add_up),
    (("Bound",), _tiny, densities.more_samples_tighten),
    (("Bound",), _tiny, densities.samples_follow_the_bound),
    (("Bound",), _always, densities.noise_is_independent),
    (("Autoregressive",), _always, coding.predictions_are_the_likelihood),
    (("Density",), _coded, coding.archives_give_the_data_back),
)
"""The capabilities that call for a check, what else must hold of a case, and the check."""


def checks(case: TestCase) -> list[Check]:
    """The checks that apply to a family, by its capabilities and by the Specs that it takes."""
    able = set(capabilities(case.family))
    return [
        Check(run.__name__, run, case)
        for needed, applies, run in CHECKS
        if able.issuperset(needed) and applies(case)
    ]
