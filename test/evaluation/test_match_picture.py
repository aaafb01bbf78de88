"""A pair of keyframes as one picture: lines end on the features, and what is absent is said."""

import cv2
import numpy as np
import pytest

from vpr_ros.core import Keyframe, Recipe
from vpr_ros.evaluation.album import Album
from vpr_ros.evaluation.match_picture import MatchedPair, Side, caption_of, match_picture
from vpr_ros.geometry import GeometryRules, Kind, SiftFeatures, Verification, View, verify
from vpr_ros.place_map import PlaceMap

VGA, GAP = (640, 480), 6
RECIPE = Recipe("table", 8, 8, "bilinear", (0, 0, 0), (1, 1, 1), 4, "0" * 64, "none")


def grey_jpeg(width, height):
    return cv2.imencode(".jpg", np.full((height, width, 3), 100, np.uint8))[1].tobytes()


def verified(*rows):
    """Rows are query x, y, match x, y and whether they agree."""
    matches = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    return Verification(Kind.NONE, "by hand", matches, np.array([row[4] for row in rows], np.bool_))


def grey_pair(verification, query=VGA, match=VGA, **more):
    sides = (Side(grey_jpeg(320, round(320 * height / width)), (width, height)) for width, height in (query, match))
    return MatchedPair(*sides, verification, **more)


def is_coloured(pixel):
    return int(pixel.max()) - int(pixel.min()) > 60


def test_a_line_joins_both_ends_of_an_inlier_in_one_colour():
    picture = match_picture(grey_pair(verified((99.5, 59.5, 199.5, 119.5, True), (399.5, 299.5, 419.5, 309.5, True))))

    assert picture.shape == (240, 320 + GAP + 320, 3)
    left = 320 + GAP
    for start, end in (((50, 30), (left + 100, 60)), ((200, 150), (left + 210, 155))):
        color = picture[start[1], start[0]]
        assert is_coloured(color)
        assert (picture[end[1], end[0]] == color).all()
        middle = (start[1] + end[1]) // 2, (start[0] + end[0]) // 2
        assert is_coloured(picture[middle[0] - 1 : middle[0] + 2, middle[1]].max(axis=0))


def test_two_lines_have_two_colours():
    picture = match_picture(grey_pair(verified((99.5, 59.5, 199.5, 119.5, True), (399.5, 299.5, 419.5, 309.5, True))))

    assert (picture[30, 50] != picture[150, 200]).any()


def test_a_match_that_disagrees_is_not_drawn():
    picture = match_picture(grey_pair(verified((99.5, 59.5, 199.5, 119.5, True), (599.5, 399.5, 49.5, 399.5, False))))

    assert not is_coloured(picture[200, 300])
    assert not is_coloured(picture[200, 320 + GAP + 25])


def test_images_of_two_sizes_are_each_scaled_by_their_own():
    """The wide image becomes 427 x 240, so a third of its width is at 142; the tall one 135 x 240."""
    wide, tall = (1280, 720), (480, 854)
    picture = match_picture(grey_pair(verified((426.2, 359.5, 239.5, 426.5, True)), wide, tall))

    assert picture.shape[1] == 427 + GAP + 135
    assert is_coloured(picture[120, 142])
    assert is_coloured(picture[120, 427 + GAP + 67])


def test_of_many_inliers_about_sixty_are_drawn_evenly_from_the_leftmost_to_the_rightmost():
    """120 starts of one row each, 2 px apart on the panel and all going down: only their dots reach row 3."""
    rows = [(5 * n + 10.5, 10.5, 9.5, 459.5, True) for n in range(120)]

    starts = match_picture(grey_pair(verified(*rows)))[3, :320]

    coloured = np.flatnonzero(np.ptp(starts.astype(int), axis=1) > 60)
    hues = {tuple(pixel) for pixel in starts[coloured].tolist()}
    assert coloured[0] <= 6
    assert coloured[-1] >= 300
    assert 50 <= len(hues) <= 60


@pytest.mark.parametrize("jpeg", [None, b"", b"no jpeg"])
def test_an_image_that_is_absent_or_broken_is_a_grey_box_that_says_so(jpeg):
    picture = match_picture(MatchedPair(Side(grey_jpeg(320, 240)), Side(jpeg)))

    box = picture[:, 320 + GAP :]
    assert box.shape == (240, 320, 3)
    assert (box[0] == 128).all()
    assert (box > 200).any(), "the words"


def test_without_verification_there_are_no_lines_and_the_caption_says_why(square):
    pair = grey_pair(None, why_not="one of the two was stored without features")

    caption = caption_of(square.closure(4, 0), pair)
    picture = match_picture(pair, caption)

    assert caption.splitlines()[1] == "no lines: one of the two was stored without features"
    assert np.ptp(picture.astype(int), axis=2).max() < 10
    assert picture.shape[0] == 240 + 2 * 20


def test_the_caption_tells_similarity_inliers_and_probability(square):
    pair = grey_pair(verified((9.5, 9.5, 9.5, 9.5, True), (19.5, 9.5, 19.5, 9.5, True), (29.5, 9.5, 9.5, 9.5, False)))

    assert caption_of(square.closure(4, 0), pair) == ("keyframes 4 and 0: similarity 0.90, 2 inliers, probability 0.80")


def test_a_long_caption_is_wrapped_and_stays_within_the_picture():
    picture = match_picture(grey_pair(None), "no lines: " + "too few points and " * 8)

    strips = picture[240:].max(axis=2).reshape(-1, 20, 646)
    assert len(strips) == 3
    assert strips[0][:, :600].max() > 200
    assert strips[:, :, -2:].max() == 0
    assert all(strip.max() > 200 for strip in strips)


@pytest.fixture
def office(images):
    """Two views of one corridor as keyframes with what a detector keeps of them."""

    def keyframe(number, name):
        image = cv2.cvtColor(cv2.imread(str(images / "office" / name)), cv2.COLOR_BGR2RGB)
        thumbnail = cv2.imencode(".jpg", cv2.resize(image, (320, 240))[..., ::-1])[1].tobytes()
        descriptor = np.eye(4, dtype=np.float32)[number]
        return Keyframe(number, 0, number, descriptor, thumbnail, features=SiftFeatures().extract(image).to_bytes())

    return keyframe(0, "001.jpg"), keyframe(1, "041.jpg")


def stored(*keyframes):
    place_map = PlaceMap.in_memory(RECIPE)
    place_map.start_session()
    for keyframe in keyframes:
        place_map.add(keyframe)
    return place_map


def assert_lines_of(pair, office, images):
    view, again = (
        View(SiftFeatures().extract(cv2.imread(str(images / "office" / name))[..., ::-1]))
        for name in ("001.jpg", "041.jpg")
    )
    assert pair.inliers == verify(again, view, GeometryRules()).inliers > 10
    assert pair.query.size == (again.features.width, again.features.height)
    plain = match_picture(MatchedPair(pair.query, pair.match))
    assert (match_picture(pair) != plain).any(axis=2).mean() > 0.01


def test_a_pair_out_of_the_map_is_verified_again(office, images):
    pair = Album(stored(*office), GeometryRules()).pair(1, 0)

    assert_lines_of(pair, office, images)


def test_a_query_that_the_map_does_not_store_comes_from_the_keyframes_at_hand(office, images):
    album = Album(stored(office[0]), GeometryRules())

    assert_lines_of(album.pair(1, 0, {1: office[1]}), office, images)
    assert album.pair(1, 0).why_not == "one of the two was not stored"
    assert album.pair(1, 0).match.jpeg == office[0].thumbnail


def test_damaged_features_cost_the_lines_and_not_the_picture(office):
    damaged = Keyframe(1, 0, 1, office[1].descriptor, office[1].thumbnail, features=b"damaged")

    pair = Album(stored(office[0], damaged), GeometryRules()).pair(1, 0)

    assert pair.verification is None
    assert "keyframe 1" in pair.why_not
    assert pair.has_images
