"""Other looks of a view: each does what its name says, on whole arrays, and stays an image."""

from dataclasses import fields, replace

import numpy as np
import pytest
from made_up_places import scene

from vpr_ros.training import appearance
from vpr_ros.training.appearance import MILD, STRONG, ViewSettings, vary
from vpr_ros.training.errors import TrainingError

NOTHING = ViewSettings(
    **{each.name: 1.0 if each.name == "crop" else 0.0 for each in fields(ViewSettings) if each.name != "sideways_shift"}
)


@pytest.fixture
def picture():
    return scene(3).astype(np.float32) / 255


@pytest.mark.parametrize("settings", [ViewSettings(), MILD, STRONG])
@pytest.mark.parametrize("shape", [(120, 160), (61, 40), (300, 400)])
def test_a_varied_view_is_an_image_of_the_same_shape_and_the_same_for_the_same_seed(settings, shape):
    image = scene(1, *shape)
    for seed in range(20):
        varied = vary(image, settings, np.random.default_rng(seed))
        assert varied.shape == image.shape
        assert varied.dtype == np.uint8
        assert (varied == vary(image, settings, np.random.default_rng(seed))).all()


def test_views_of_one_image_differ():
    looks = {vary(scene(1), MILD, np.random.default_rng(seed)).tobytes() for seed in range(20)}

    assert len(looks) == 20


def test_night_is_darker_and_yellower(picture):
    dark = np.mean([appearance.night(picture, np.random.default_rng(seed)).mean(axis=(0, 1)) for seed in range(20)], 0)

    assert (dark < picture.mean(axis=(0, 1))).all()
    assert dark[2] / dark[0] < picture[..., 2].mean() / picture[..., 0].mean()


def test_seasons_turn_what_is_green_and_leave_the_rest(picture):
    half = np.full((40, 40, 3), (0.6, 0.2, 0.2), np.float32)
    half[:, :20] = (0.2, 0.6, 0.1)

    for seed in range(6):
        turned = appearance.season(half, np.random.default_rng(seed))
        assert np.abs(turned[:, :20] - half[:, :20]).max() > 0.05
        assert np.abs(turned[:, 20:] - half[:, 20:]).max() < 0.02


def test_haze_takes_contrast_and_sun_divides_light(picture):
    rng = np.random.default_rng(0)

    assert appearance.haze(picture, rng).std() < 0.9 * picture.std()
    flat = np.full_like(picture, 0.5)
    assert np.ptp(appearance.sun_and_shade(flat, rng)) > 0.02


def test_rain_is_streaks_and_occlusion_is_blocks(picture):
    rain = appearance.rain(picture, np.random.default_rng(0)) - 0.9 * picture
    assert 0.01 < (rain[..., 0] > 0.1).mean() < 0.5

    covered = (appearance.occlude(picture, np.random.default_rng(0)) != picture).any(axis=2)
    assert 0.01 < covered.mean() < 0.4


def test_a_step_aside_moves_what_is_near_and_not_what_is_far():
    columns = np.repeat(np.arange(160, dtype=np.uint8)[None, :, None], 120, axis=0).repeat(3, axis=2)

    shifts = [
        np.abs(appearance.step_aside(columns, 0.18, np.random.default_rng(seed))[:, 80, 0].astype(int) - 80)
        for seed in range(30)
    ]

    top, bottom = np.mean([s[0] for s in shifts]), np.mean([s[-1] for s in shifts])
    assert bottom > 2 * top


def test_without_any_change_only_light_and_noise_remain():
    image = scene(2)
    still = vary(image, NOTHING, np.random.default_rng(0))

    correlation = np.corrcoef(image.ravel().astype(float), still.ravel().astype(float))[0, 1]
    assert correlation > 0.97


@pytest.mark.parametrize("what", ["rain", "occlusion"])
def test_what_stands_or_falls_before_a_view_covers_a_part_of_it(what):
    """Noise alone, which differs as well, moves no pixel this far."""
    image = scene(2)

    def covered(settings):
        looks = [
            [vary(image, each, np.random.default_rng(seed)).astype(int) for each in (settings, NOTHING)]
            for seed in range(10)
        ]
        return np.mean([(np.abs(one - other) > 60).any(axis=2).mean() for one, other in looks])

    assert 0.01 < covered(replace(NOTHING, **{what: 1.0})) < 0.5


def stripe_in(settings, seed):
    """Return where a level stripe begins, and how thick it is, near the left and the right edge of a varied view."""
    image = np.full((120, 160, 3), 20, np.uint8)
    image[40:80] = 150
    varied = vary(image, settings, np.random.default_rng(seed)).mean(axis=2)
    is_stripe = varied > (varied.min() + varied.max()) / 2
    return is_stripe[:, (20, 139)].argmax(axis=0), is_stripe[:, (20, 139)].sum(axis=0)


def largest_difference(settings, which):
    return max(abs(int(np.diff(stripe_in(settings, seed)[which])[0])) for seed in range(10))


def test_a_view_is_turned_and_its_corners_are_moved():
    """A turn tilts a stripe and leaves it as thick at both ends; moved corners do not."""
    begins, thick = 0, 1
    turned, pulled = replace(NOTHING, rotation_deg=10), replace(NOTHING, homography=0.2)

    assert largest_difference(NOTHING, begins) <= 1
    assert largest_difference(turned, begins) > 10
    assert largest_difference(turned, thick) <= 2
    assert largest_difference(pulled, thick) > 5


def test_a_share_out_of_range_is_named():
    with pytest.raises(TrainingError, match=r"views\.night is 1\.5"):
        replace(MILD, night=1.5)
