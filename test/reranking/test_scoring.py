"""Matching and scores: the published formulas by plain loops, geometry as the oracle, and the cases that break."""

import made_up_maps
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpr_ros.reranking import PatchDescriptors, PatchScale, RerankingError, mutual_matches, ransac_score, spatial_score

LOOKS_LIKE = {2: 1.0}


def one_scale(vectors, rows, columns, size=2):
    return PatchDescriptors("a" * 64, (PatchScale(size, rows, columns, np.asarray(vectors, np.float32)),))


def spatial_by_loops(query, match):
    """The authors' rapid spatial scoring for one size (Hausler et al. 2021, section 3.4.2), patch by patch."""
    similarity = query.vectors.astype(float) @ match.vectors.T.astype(float)
    shifts = []
    for j in range(len(match.vectors)):
        i = int(similarity[:, j].argmax())
        if int(similarity[i].argmax()) == j:
            shifts.append((j % match.columns - i % query.columns, j // match.columns - i // query.columns))
    if not shifts:
        return 0.0
    mean_x, mean_y = (sum(axis) / len(shifts) for axis in zip(*shifts, strict=True))
    x, y = match.columns - 1, match.rows - 1
    return sum((x - abs(dx - mean_x)) ** 2 + (y - abs(dy - mean_y)) ** 2 for dx, dy in shifts) / len(query.vectors)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.floats(0, 4), rows=st.integers(2, 7), columns=st.integers(2, 9))
def test_the_published_score_is_the_formula_and_ours_stays_within_its_bounds(seed, noise, rows, columns):
    query, match = made_up_maps.views_of_a_wall((0, 0), (1, 2), rows=rows, columns=columns, noise=noise, seed=seed)

    pair = spatial_score(query, match, LOOKS_LIKE)

    assert pair.published == pytest.approx(spatial_by_loops(query.scales[0], match.scales[0]), rel=1e-9, abs=1e-9)
    assert 0 <= pair.score <= 1


def test_an_image_against_itself_scores_one():
    (view,) = made_up_maps.views_of_a_wall((0, 0))

    pair = spatial_score(view, view, LOOKS_LIKE)

    assert pair.score == pytest.approx(1)
    assert pair.published == pytest.approx(7**2 + 5**2)  # The bound of an 8 x 6 grid.
    assert pair.mutual_counts == (48,)
    assert ransac_score(view, view, LOOKS_LIKE).score == 1


def test_a_shifted_view_scores_by_what_both_see_and_says_where():
    query, match = made_up_maps.views_of_a_wall((2, 1), (0, 0))

    pair = spatial_score(query, match, LOOKS_LIKE)
    scale = pair.scales[0]

    # Both see 6 x 5 of 8 x 6 patches. What else is mutual by chance is few, and disagrees.
    shifts = scale.match.grid(scale.match_patches) - scale.query.grid(scale.query_patches)
    right = (shifts == (2, 1)).all(axis=1)
    assert right.sum() == 30
    assert scale.mutual - 30 <= 8
    assert scale.agreeing[right].all()
    assert 0.5 < pair.score < 0.7  # 30 of 48 agree.
    inliers = ransac_score(query, match, LOOKS_LIKE).scales[0]
    assert inliers.agreeing[right].all()
    assert inliers.published == pytest.approx(inliers.agreeing.sum() / 48)


def test_the_same_view_scores_above_every_other_place():
    same = made_up_maps.views_of_a_wall((0, 0), (1, 0), noise=0.5)
    others = [made_up_maps.views_of_a_wall((0, 0), seed=seed)[0] for seed in range(1, 20)]
    for score in (spatial_score, ransac_score):
        assert score(*same, LOOKS_LIKE).score > 2 * max(score(same[0], other, LOOKS_LIKE).score for other in others)


def test_the_score_of_a_pair_does_not_depend_on_other_candidates_and_one_candidate_is_enough():
    query, match = made_up_maps.views_of_a_wall((0, 0), (1, 0))
    assert np.isfinite(spatial_score(query, match, LOOKS_LIKE).score)
    assert spatial_score(query, match).score == spatial_score(query, match).score


def test_a_blank_wall_gives_one_pair_and_hardly_a_score():
    blank = one_scale(np.full((48, 16), 0.25), 6, 8)

    pair = spatial_score(blank, blank, LOOKS_LIKE)

    assert pair.mutual_counts == (1,)
    assert pair.score < 0.03
    assert ransac_score(blank, blank, LOOKS_LIKE).score == 0


def test_each_patch_is_in_one_pair_at_most_also_among_repeated_patches():
    rng = np.random.default_rng(0)
    # Unit vectors whose products are exact, so that equal patches have equal cosines in whatever order a BLAS adds.
    few = rng.choice(np.array([-0.25, 0.25], np.float32), (4, 16))
    query, match = few[rng.integers(4, size=30)], few[rng.integers(4, size=40)]

    in_match, in_query = mutual_matches(query, match)

    assert len(set(in_match)) == len(in_match) == len(set(in_query)) <= 4
    np.testing.assert_allclose(query[in_query], match[in_match])


def test_patches_on_a_line_have_no_homography_and_no_inliers():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((12, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pair = ransac_score(one_scale(vectors, 1, 12), one_scale(vectors, 1, 12), LOOKS_LIKE)
    assert pair.mutual_counts == (12,)
    assert np.isfinite(pair.score)


def test_an_outlier_farther_than_the_grid_counts_nothing_and_not_like_a_match():
    """Five patches of a strip of eight move by 3, one by -7: 8.33 off the mean of 1.33, more than the strip is long."""
    query, match = np.zeros((8, 16)), np.zeros((8, 16))
    query[range(5), range(5)] = match[range(3, 8), range(5)] = 1
    query[7, 9] = match[0, 9] = 1

    pair = spatial_score(one_scale(query, 1, 8), one_scale(match, 1, 8), LOOKS_LIKE)

    agreeing = 5 * (7 - (3 - 8 / 6)) ** 2 / 8
    assert pair.mutual_counts == (6,)
    assert pair.score == pytest.approx(agreeing / 7**2)
    assert pair.published == pytest.approx(agreeing + (7 - 50 / 6) ** 2 / 8)


def test_images_of_two_sizes_are_compared_on_grids_of_their_own():
    (wide,) = made_up_maps.views_of_a_wall((0, 0), rows=6, columns=8)
    narrow = one_scale(wide.scales[0].vectors.reshape(6, 8, -1)[:, 1:7].reshape(36, -1), 6, 6)

    scale = spatial_score(narrow, wide, LOOKS_LIKE).scales[0]

    shifts = scale.match.grid(scale.match_patches) - scale.query.grid(scale.query_patches)
    assert scale.mutual == 36
    assert (shifts == (1, 0)).all()
    assert scale.score == pytest.approx(1)


def test_centres_are_where_the_windows_lie_in_the_image():
    scale = PatchScale(5, 16, 16, np.zeros((256, 4), np.float32))  # 5 x 5 windows of a 20 x 20 map.
    np.testing.assert_allclose(scale.centres(np.array([0, 255, 17])), [[0.125] * 2, [0.875] * 2, [0.175] * 2])


def test_sizes_are_fused_by_their_weights_each_as_a_share_of_what_it_can_reach():
    same, other = made_up_maps.views_of_a_wall((0, 0), (3, 3))
    other_size = PatchScale(5, 6, 8, other.scales[0].vectors)
    query = PatchDescriptors("a" * 64, (same.scales[0], PatchScale(5, 6, 8, same.scales[0].vectors)))
    match = PatchDescriptors("a" * 64, (same.scales[0], other_size))

    pair = spatial_score(query, match, {2: 0.45, 5: 0.15})

    low = pair.scales[1].score
    assert pair.scales[0].score == pytest.approx(1)
    assert pair.score == pytest.approx((0.45 * 1 + 0.15 * low) / 0.6)
    assert pair.published == pytest.approx(0.45 * pair.scales[0].published + 0.15 * pair.scales[1].published)


@pytest.mark.parametrize("score", [spatial_score, ransac_score])
def test_descriptors_of_two_vocabularies_or_window_sizes_are_not_compared(score):
    (view,) = made_up_maps.views_of_a_wall((0, 0))
    with pytest.raises(RerankingError, match="vocabulary bbbbbbbbbbbb"):
        score(view, PatchDescriptors("b" * 64, view.scales))
    with pytest.raises(RerankingError, match=r"windows of \[2\] and \[5\]"):
        score(view, PatchDescriptors("a" * 64, (PatchScale(5, 6, 8, view.scales[0].vectors),)))


def test_descriptors_read_from_bytes_are_compared_with_fresh_ones():
    query, match = made_up_maps.views_of_a_wall((0, 0), (1, 0), noise=0.3)
    stored = PatchDescriptors.from_bytes(match.to_bytes())
    assert spatial_score(query, stored).score == pytest.approx(spatial_score(query, match).score, abs=0.02)
