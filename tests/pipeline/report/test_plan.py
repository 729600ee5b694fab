"""What is true of a plan in words."""

from pipeline.report.plan import Measured, Plan, PlannedPart


def test_a_plan_shows_both_ends_of_a_range_test_and_for_which_training_bounds_are():
    measured = Measured("adam", 32, 1e-3, 0.01, 2.0, steps_per_epoch=43)
    tests = PlannedPart("range test of adam", 300, 0, 2.3, least_steps=52, least_seconds=2.05)
    plan = Plan((measured,), (tests, PlannedPart("4 trials", 3440, 80, 5.0)), epochs=20)
    lines = [" ".join(line.split()) for line in plan.as_table().splitlines()]

    assert plan.training_steps == {32: 860}
    assert "bounds are for trainings of 860 updates in batches of 32 (20 epochs)" in lines
    assert "range test of adam 52 to 300 - 2.0 s 2.3 s" in lines
    assert "4 trials 3440 80 - 5.0 s" in lines
    assert lines[-1] == "all 3740 7.3 s"
