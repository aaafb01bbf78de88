"""The policy: what the stages saw becomes one probability, and its file is read with suspicion."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import World, street

from vpr_ros.detection.policy import (
    FIGURES,
    UNCALIBRATED,
    Policy,
    PolicyError,
    Thresholds,
    policy_as_yaml,
    policy_for,
    policy_notes,
    read_policy,
    thresholds_by,
)

TWO_STAGES = Policy(
    "by hand",
    bias=-3.0,
    weights={"similarity": 2.0, "inliers": 1.0, "coverage": 4.0},
    absent={"geometry": -0.5, "rerank": 9.0},
)
WORLD = World(street(3))
numbers = st.floats(-20, 20).map(lambda value: round(value, 4))


def test_log_odds_are_the_bias_and_each_figure_by_its_weight():
    assert TWO_STAGES.log_odds({"similarity": 0.9, "inliers": 3.0, "coverage": 0.25}) == pytest.approx(2.8)
    assert TWO_STAGES.probability({"similarity": 0.9, "inliers": 3.0, "coverage": 0.25}) == pytest.approx(
        math.exp(2.8) / (1 + math.exp(2.8))
    )


def test_figures_that_are_missing_count_as_their_stage_being_absent():
    assert TWO_STAGES.log_odds({"similarity": 0.9}) == pytest.approx(-3.0 + 1.8 - 0.5)


def test_a_stage_that_saw_only_half_of_its_figures_counts_as_absent():
    assert TWO_STAGES.log_odds({"similarity": 0.9, "inliers": 3.0}) == TWO_STAGES.log_odds({"similarity": 0.9})


def test_a_figure_without_a_weight_has_no_say():
    seen = {"similarity": 0.9, "inliers": 3.0, "coverage": 0.25}
    assert TWO_STAGES.log_odds({**seen, "rerank": 0.7, "sequence_is_final": 1.0}) == TWO_STAGES.log_odds(seen)


def test_a_curve_says_what_log_odds_turned_out_to_mean_and_is_flat_beyond_its_ends():
    policy = Policy("curved", bias=0.0, weights={"margin": 1.0}, curve=((-1.0, 0.1), (1.0, 0.7)))

    said = [policy.probability({"margin": margin}) for margin in (-9.0, -1.0, 0.0, 1.0, 9.0)]

    assert said == pytest.approx([0.1, 0.1, 0.4, 0.7, 0.7])
    assert policy.highest({}) == 0.7
    assert replace(policy, curve=()).highest({}) == 1.0


def test_pairs_that_odometry_allows_are_weighed_by_what_was_learned_of_such_pairs():
    aided = Policy("allowed", bias=2.0, weights={"margin": 1.0}, accepted=((0.7, 0.999),))
    policy = Policy("any", bias=-2.0, weights={"margin": 1.0}, accepted=((0.95, 0.999),), aided=aided)
    alone, ruled_out, allowed = {"margin": 0.5}, {"margin": 0.5, "odometry": 0.0}, {"margin": 0.5, "odometry": 1.0}

    assert policy.log_odds(alone) == policy.log_odds(ruled_out) == -1.5
    assert policy.log_odds(allowed) == 2.5
    assert policy.probability(allowed) == aided.probability(alone) > policy.probability(alone)
    assert [policy.threshold(0.999, seen) for seen in (alone, ruled_out, allowed)] == [0.95, 0.95, 0.7]
    assert Policy("no such", bias=1.0, weights={}).log_odds(allowed) == 1.0


def test_a_closure_is_accepted_from_the_least_probability_on_that_reaches_the_precision():
    policy = Policy("measured", bias=0.0, weights={}, accepted=((0.6, 0.95), (0.8, 0.992), (0.97, 0.999)))

    assert [policy.threshold(target, {}) for target in (0.9, 0.95, 0.99, 0.995)] == [0.6, 0.6, 0.8, 0.97]
    assert policy.threshold(0.9999, {}) == 0.9999, "where nothing was seen to reach it, the probability itself must"
    assert TWO_STAGES.threshold(0.99, {}) == 0.99


def test_a_pair_that_a_metric_pose_spared_the_sequence_margin_must_reach_the_precision_itself():
    aided = Policy("allowed", bias=2.0, weights={}, accepted=((0.7, 0.999),))
    policy = Policy("measured", bias=0.0, weights={}, accepted=((0.6, 0.999),), aided=aided)

    assert policy.threshold(0.999, {}) == 0.6
    assert policy.threshold(0.999, {"without_margin": 1.0}) == 0.999
    assert policy.threshold(0.999, {"without_margin": 1.0, "odometry": 1.0}) == 0.7


def test_people_are_told_the_figures_that_weigh():
    words = TWO_STAGES.explain({"similarity": 0.876, "inliers": math.log1p(42), "margin": 0.1})
    assert words == "similarity 0.88, inliers 42"


def test_without_any_evidence_the_uncalibrated_policy_does_not_believe():
    assert UNCALIBRATED.probability({}) < 0.5


@given(
    weights=st.dictionaries(st.sampled_from(sorted(FIGURES)), st.floats(0, 50), min_size=1),
    seen=st.dictionaries(st.sampled_from(sorted(FIGURES)), st.floats(-1, 8), min_size=1),
    more=st.floats(0, 5),
)
def test_a_larger_figure_never_makes_a_pair_less_probable(weights, seen, more):
    policy = Policy("any", bias=-2.0, weights=weights)

    for name in seen:
        assert policy.probability({**seen, name: seen[name] + more}) >= policy.probability(seen)
        assert 0 <= policy.probability(seen) <= 1


@given(
    bias=numbers,
    weights=st.dictionaries(st.sampled_from(sorted(FIGURES)), numbers),
    absent=st.dictionaries(st.sampled_from(sorted(set(FIGURES.values()))), numbers),
    xs=st.lists(st.integers(-80, 80), unique=True, max_size=6).map(sorted),
    name=st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"))),
)
def test_a_policy_comes_back_from_its_file_as_it_went_in(tmp_path_factory, bias, weights, absent, xs, name):
    curve = tuple((x / 4, round((index + 1) / (len(xs) + 1), 5)) for index, x in enumerate(xs))
    accepted = tuple((p, p) for _, p in curve)
    part = Policy(name, bias, weights, absent, "ab" * 32, curve, accepted)
    policy = replace(part, aided=part, lone=replace(part, accepted=()))
    path = tmp_path_factory.mktemp("policies") / "policy.yaml"
    path.write_text(policy_as_yaml(policy, {"right": 30}), encoding="utf-8")

    assert read_policy(path) == policy


WHOLE = """\
policy:
  name: a policy
  bias: -1.0
  weights: {inliers: 1.5}
  curve: [[-1.0, 0.1], [1.0, 0.9]]
"""


def test_whole_numbers_are_numbers_too(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(WHOLE.replace("1.5", "2"))

    assert read_policy(path).log_odds({"inliers": 3.0}) == 5.0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "just words",
        "- 1\n- 2",
        "policy:",
        "policy: words",
        "policy: [1, 2]",
        "notes: {right: 3}",
        "policy: {name: no weights, bias: 1.0}",
        "key: 'unfinished",
        "[" * 5000,
        "\x00\x01",
        WHOLE.replace("1.5", ".nan"),
        WHOLE.replace("-1.0\n", "-.inf\n"),
        WHOLE.replace("1.5", "many"),
        WHOLE.replace("1.5", "1" + "0" * 400),
        WHOLE.replace("1.5", "2020-01-01"),
        WHOLE.replace("{inliers: 1.5}", "[1.5]"),
        WHOLE.replace("inliers", "wisdom"),
        WHOLE.replace("inliers", "3"),
        WHOLE.replace("bias", "byas"),
        WHOLE + "  further: 1.0\n",
        WHOLE + "  absent: {wisdom: 1.0}\n",
        WHOLE.replace("[[-1.0, 0.1], [1.0, 0.9]]", "[[-1.0, 0.9], [1.0, 0.1]]"),
        WHOLE.replace("[[-1.0, 0.1], [1.0, 0.9]]", "[[1.0, 0.1], [-1.0, 0.9]]"),
        WHOLE.replace("0.9]", "1.5]"),
        WHOLE.replace("0.9]", ".nan]"),
        WHOLE.replace("[-1.0, 0.1]", "[-1.0]"),
        WHOLE.replace("[-1.0, 0.1]", "[-1.0, 0.1, 0.2]"),
        WHOLE.replace("[[-1.0, 0.1], [1.0, 0.9]]", "steep"),
        WHOLE + "  accepted: [[-5.0, 1.0]]\n",
        WHOLE + "  accepted: [[0.9, 0.9], [0.5, 0.99]]\n",
        WHOLE + "  accepted: [[0.5, 0.99], [0.9, 0.9]]\n",
        WHOLE + "  accepted: [[.nan, 0.99]]\n",
        WHOLE + "  accepted: [[0.5, .nan]]\n",
    ],
)
def test_a_file_that_is_no_policy_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "policy.yaml"
    path.write_text(content)

    with pytest.raises(PolicyError) as refused:
        read_policy(path)

    assert len(str(refused.value).splitlines()) == 1
    assert "calibrate" in str(refused.value) or "there are" in str(refused.value)


def test_bytes_that_are_no_text_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "policy.yaml").write_bytes(b"\xff\xfe\xe9")

    for path in (tmp_path / "policy.yaml", tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(PolicyError, match="can't read policy"):
            read_policy(path)


def test_an_unknown_figure_is_answered_with_those_there_are(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(WHOLE.replace("inliers", "wisdom"))

    with pytest.raises(PolicyError, match=r"wisdom.*similarity.*coverage"):
        read_policy(path)


def test_nothing_in_a_policy_file_is_executed(tmp_path):
    path, proof = tmp_path / "policy.yaml", tmp_path / "executed"
    path.write_text(f"policy: !!python/object/apply:os.system ['touch {proof}']")

    with pytest.raises(PolicyError):
        read_policy(path)

    assert not proof.exists()


def test_the_file_of_another_encoder_is_refused_and_names_both(tmp_path):
    path = tmp_path / "policy.yaml"
    foreign = Policy("foreign", bias=0.0, weights={}, encoder_sha256="fe" * 32)
    path.write_text(policy_as_yaml(foreign, {}))

    with pytest.raises(PolicyError, match=r"fefefefefefe.*'table'.*000000000000.*vpr_ros calibrate"):
        policy_for(WORLD.recipe, str(path))


def test_a_policy_without_an_encoder_fits_any(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(policy_as_yaml(TWO_STAGES, {}))

    assert policy_for(WORLD.recipe, str(path)) == TWO_STAGES


def test_an_encoder_that_nobody_calibrated_takes_the_cautious_policy():
    assert policy_for(WORLD.recipe) is UNCALIBRATED


def test_notes_of_the_file_that_is_taken_can_be_read(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(policy_as_yaml(TWO_STAGES, {"right": 12}))

    assert policy_notes(WORLD.recipe, str(path)) == {"right": 12}


def test_where_no_file_is_taken_or_it_has_no_notes_there_are_none(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(policy_as_yaml(TWO_STAGES, {}).replace("notes: {}", "notes: by hand"))

    assert policy_notes(WORLD.recipe) == {}
    assert policy_notes(WORLD.recipe, str(path)) == {}


def test_thresholds_of_an_encoder_take_the_place_of_defaults_and_not_of_what_a_user_chose():
    policy = Policy("other scale", bias=0.0, weights={}, thresholds={"min_similarity": 0.8, "min_margin": -0.02})

    found = thresholds_by(policy, Thresholds(min_margin=0.5))

    assert (found.min_similarity, found.min_margin) == (0.8, 0.5)
    default = Thresholds().min_similarity
    assert thresholds_by(policy, Thresholds(), given=["min_similarity"]).min_similarity == default
    with pytest.raises(PolicyError, match="sets min_luck, which is no threshold"):
        Policy("typing error", bias=0.0, weights={}, thresholds={"min_luck": 0.8})


@pytest.mark.parametrize(("asked", "of_single"), [((-0.1, 0.03), 0.03), ((0.2, 0.03), 0.2)])
def test_a_single_image_is_asked_for_no_less_than_any_other(asked, of_single):
    min_margin, min_lone_margin = asked
    assert Thresholds(min_margin=min_margin, min_lone_margin=min_lone_margin).single_image_margin == of_single


def test_a_single_image_has_the_part_made_for_it_and_reaches_the_precision_itself():
    shared = ((0.9, 0.999),)
    single = Policy("single", bias=1.0, weights={}, accepted=shared)
    policy = Policy("all", bias=0.0, weights={}, accepted=shared, lone=single)

    assert policy.of_single_images() == replace(single, accepted=())
    assert single.of_single_images() == replace(single, accepted=())
    assert policy.of_single_images().threshold(0.999, {}) == 0.999
