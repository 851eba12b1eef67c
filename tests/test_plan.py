"""How a GPU's memory is divided: what is given up first, what is refused, that the parts are the whole."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.plan import LEAST, RESERVE, Plan, Sizes, make_plan

GB = 10**9
SIZES = Sizes(
    weights=17 * GB,
    embeddings=2_500_000_000,
    tower=900_000_000,
    token=65_536,
    state=150_000_000,
    workspace=1_500_000_000,
    library=700_000_000,
    most=262_144,
)


def choices(plan: Plan) -> tuple[bool, bool]:
    return plan.tower_parked, plan.embeddings_outside


def test_a_large_gpu_holds_everything() -> None:
    plan = make_plan(SIZES, 80 * GB, None)
    assert (plan.context, choices(plan), plan.fits, plan.missing) == (262_144, (False, False), True, 0)
    assert plan.outside == 0


def test_the_tower_goes_first_then_the_embeddings_and_only_then_the_context() -> None:
    all_in = SIZES.fixed(tower_parked=False, embeddings_outside=False) + RESERVE
    wanted = 100_000
    exactly = all_in + wanted * SIZES.token
    assert choices(make_plan(SIZES, exactly, wanted)) == (False, False)
    assert choices(make_plan(SIZES, exactly - 1, wanted)) == (True, False)
    assert choices(make_plan(SIZES, exactly - SIZES.tower, wanted)) == (True, False)
    assert choices(make_plan(SIZES, exactly - SIZES.tower - 1, wanted)) == (True, True)
    last = make_plan(SIZES, exactly - SIZES.tower - SIZES.embeddings, wanted)
    assert (last.fits, last.context, last.largest, last.outside) == (True, wanted, wanted, 3_400_000_000)
    shorter = make_plan(SIZES, exactly - SIZES.tower - SIZES.embeddings - 1, None)
    assert (shorter.fits, shorter.context) == (True, wanted - 1)


def test_a_context_that_was_asked_for_is_never_made_smaller() -> None:
    plan = make_plan(SIZES, 24 * GB, 131_072)
    assert not plan.fits
    assert plan.context == 131_072
    assert plan.missing == plan.needed - 24 * GB > 0
    assert make_plan(SIZES, 24 * GB, plan.largest).fits
    assert not make_plan(SIZES, 24 * GB, plan.largest + 1).fits


def test_what_does_not_fit_at_all_says_what_is_missing() -> None:
    least = SIZES.fixed(tower_parked=True, embeddings_outside=True) + RESERVE + LEAST * SIZES.token
    assert make_plan(SIZES, least, None).largest == LEAST
    assert make_plan(SIZES, least - 1, None).largest == 0  # what would be refused is not offered
    assert make_plan(replace(SIZES, most=100), least, None).largest == 100
    plan = make_plan(SIZES, 12 * GB, None)
    assert (plan.fits, plan.context, plan.largest) == (False, LEAST, 0)
    assert plan.missing > 7 * GB
    assert not make_plan(SIZES, 0, None).fits


def test_a_model_without_a_tower_and_with_a_tied_head_gives_up_neither() -> None:
    plan = make_plan(replace(SIZES, tower=0, embeddings=0), 24 * GB, None)
    assert choices(plan) == (False, False)
    assert plan.fits


@given(st.integers(0, 90 * GB), st.none() | st.integers(LEAST, 262_144))
def test_the_parts_are_the_whole_and_what_fits_fits(free: int, wanted: int | None) -> None:
    plan = make_plan(SIZES, free, wanted)
    assert sum(plan.parts.values()) == plan.needed
    assert plan.fits == (plan.needed <= free)
    assert plan.fits == (plan.context <= plan.largest)
    if wanted is not None:
        assert plan.context == wanted
    if plan.largest >= LEAST:
        assert make_plan(SIZES, free, plan.largest).fits
