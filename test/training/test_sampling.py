"""Batches: P places of K views, surely different, the same for the same step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpr_ros.core import Recipe
from vpr_ros.scoring import PairLabel
from vpr_ros.training.appearance import ViewSettings
from vpr_ros.training.config import SamplingConfig
from vpr_ros.training.datasets.views import DataFacts, LabelRule, ViewTable
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.pool import PLAIN, ViewPool
from vpr_ros.training.sampling import PlaceSampler

RECIPE = Recipe("x", 8, 8, "bilinear", (0.5,) * 3, (0.5,) * 3, 1, "0" * 64, "none")


class Walk:
    """A walk there and back along a street: one view a metre, looking ahead."""

    name, appearance, share, self_supervised = "walk", ViewSettings(), 1.0, False
    facts = DataFacts("a walk", 1, 1, 1)

    def __init__(self, length=60, rule=None):
        there = np.arange(length, dtype=float)
        position = np.concatenate((there, there[::-1]))
        heading = np.repeat((0.0, 180.0), length)
        count = 2 * length
        zeros = np.zeros(count, np.int64)
        self.table = ViewTable(
            site=zeros,
            family=zeros,
            region=zeros,
            place=(position // 2 + (heading > 0) * length).astype(np.int64),
            position_m=np.column_stack((position, np.zeros((count, 2)))),
            heading_deg=heading,
            role=zeros.astype(np.int8),
        )
        self.rule = rule or LabelRule(2.0, 0.65, 5.0, 0.25, 80)

    def read(self, view, rng):
        return np.full((8, 8, 3), view, np.uint8)


class Named(Walk):
    """Places given by name, of which some belong to one sequence."""

    def __init__(self, places, families, regions=None):
        self.table = ViewTable.of_names(np.array(places), np.array(families), regions)
        self.rule = LabelRule()


def sampler_of(*sets, renderings=None, seed=0, rank=0, within_class=False, **config):
    values = {"places": 6, "views": 3, "neighbours": 0.3} | config
    pool = ViewPool(sets, RECIPE, 0)
    sampler = PlaceSampler(
        pool, SamplingConfig(**values), seed, renderings=renderings, rank=rank, within_class=within_class
    )
    return pool, sampler


@settings(max_examples=25, deadline=None)
@given(step=st.integers(0, 10_000), neighbours=st.floats(0, 1))
def test_views_of_one_label_are_one_place_and_views_of_two_are_two(step, neighbours):
    walk = Walk()
    _, sampler = sampler_of(walk, neighbours=neighbours)

    batch = sampler.batch(step)

    relation = walk.rule.labels(walk.table, batch.views[:, None], batch.views[None])
    same = batch.labels[:, None] == batch.labels[None]
    assert (relation[~same] == PairLabel.WRONG).all()
    assert (relation[same] != PairLabel.WRONG).all()
    assert (np.bincount(batch.labels) == 3).all()
    assert batch.labels.max() == 5


def test_a_step_draws_the_same_batch_again_and_another_step_and_process_others():
    _, sampler = sampler_of(Walk())
    _, other = sampler_of(Walk(), rank=1)

    first, again = sampler.batch(7), sampler.batch(7)

    assert (first.views == again.views).all()
    assert (first.renderings == again.renderings).all()
    assert not np.array_equal(first.views, sampler.batch(8).views)
    assert not np.array_equal(first.views, other.batch(7).views)


def test_places_of_one_sequence_never_meet_in_a_batch():
    places = [f"video_{n}" for n in range(5) for _ in range(3)] + [f"shop{n}" for n in range(5) for _ in range(3)]
    families = ["video"] * 15 + places[15:]
    data = Named(places, families)
    _, sampler = sampler_of(data, places=6)

    for step in range(20):
        batch = sampler.batch(step)
        from_video = {int(label) for label, view in zip(batch.labels, batch.views, strict=True) if view < 15}
        assert len(from_video) <= 1


def test_neighbours_bring_more_places_of_one_street():
    """Two streets and many single shops: hard negatives are other stretches of a street that is there already."""
    names = [f"shop{n}" for n in range(200) for _ in range(3)]
    shops = Named(names, names)

    class Both(Walk):
        def __init__(self):
            super().__init__()
            street, shop = self.table, shops.table
            self.table = ViewTable(
                *(
                    np.concatenate((getattr(street, name), getattr(shop, name) + offset))
                    for name, offset in (("site", 1), ("family", 1), ("region", 1), ("place", 200))
                ),
                position_m=np.concatenate((street.position_m, shop.position_m)),
                heading_deg=np.concatenate((street.heading_deg, shop.heading_deg)),
                role=np.concatenate((street.role, shop.role)),
            )

    def in_street(neighbours):
        _, sampler = sampler_of(Both(), places=8, neighbours=neighbours)
        return np.mean([(sampler.batch(step).views < 120).sum() / 3 for step in range(40)])

    assert in_street(0.9) > in_street(0.0) + 0.5


def test_a_batch_may_stay_within_one_city():
    """As in the published training of MixVPR; every place of a city is surely another one."""
    names = [f"{city}/{n}" for city in ("bonn", "oslo", "rome") for n in range(20) for _ in range(3)]
    city = np.repeat(("bonn", "oslo", "rome"), 60)
    data = Named(names, names, city)
    _, within = sampler_of(data, places=8, neighbours=1.0)
    _, across = sampler_of(data, places=8, neighbours=0.0)

    cities = [set(city[within.batch(step).views]) for step in range(30)]

    assert all(len(seen) == 1 for seen in cities)
    assert len(set.union(*cities)) == 3
    assert all(len(np.unique(within.batch(step).labels)) == 8 for step in range(30))
    assert max(len(set(city[across.batch(step).views])) for step in range(30)) == 3


def test_shares_say_how_many_places_each_set_gives():
    names = [f"a{n}" for n in range(100) for _ in range(2)]
    big, small = Named(names, names), Walk()
    big.share, small.share = 3.0, 1.0
    _, sampler = sampler_of(big, small, places=8, views=2)

    drawn = np.concatenate([sampler.batch(step).views for step in range(60)])

    assert (drawn < 200).mean() == pytest.approx(0.75, abs=0.05)


def test_kept_renderings_are_never_left_and_a_repeated_view_shows_two_of_them():
    data = Named([f"p{n}" for n in range(6) for _ in range(2)], [f"p{n}" for n in range(6) for _ in range(2)])
    _, sampler = sampler_of(data, renderings=4, views=3, plain=0.3)

    for step in range(30):
        batch = sampler.batch(step)
        assert batch.renderings.min() >= PLAIN
        assert batch.renderings.max() <= 3
        pairs = list(zip(batch.views, batch.renderings, strict=True))
        assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("renderings", [None, 4])
@pytest.mark.parametrize("plain", [0.0, 0.4, 1.0])
def test_plain_is_the_share_of_views_without_variation(plain, renderings):
    _, sampler = sampler_of(Walk(), plain=plain, renderings=renderings)

    drawn = np.concatenate([sampler.batch(step).renderings for step in range(60)])

    assert (drawn == PLAIN).mean() == pytest.approx(plain, abs=0.05)


def test_what_is_known_to_be_corrupt_changes_no_batch():
    """It is known only once it was asked for, which is sooner in a whole run than in a resumed one."""
    pool, sampler = sampler_of(Walk())
    before = sampler.batch(3)
    pool.corrupt.update(dict.fromkeys(range(60), "cut off"))

    assert np.array_equal(sampler.batch(3).views, before.views)


def test_views_of_a_place_have_one_class_where_a_loss_has_proxies():
    walk = Walk(rule=LabelRule(3.0, 0.65, 8.0, 0.25, 80))
    classes = [
        [walk.table.place[batch.views[batch.labels == label]] for label in range(5)]
        for sampler in (sampler_of(walk, places=5)[1], sampler_of(walk, places=5, within_class=True)[1])
        for batch in (sampler.batch(0),)
    ]

    assert any(len(set(place)) > 1 for place in classes[0])
    assert all(len(set(place)) == 1 for place in classes[1])


def test_batches_far_smaller_than_asked_are_told_once(caplog):
    _, sampler = sampler_of(Named(["inn"] * 4 + ["bar"] * 4 + ["yard"] * 4, ["inn"] * 4 + ["bar"] * 8), places=40)

    for step in range(3):
        assert sampler.batch(step).labels.max() == 1

    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "step 0 found 2 places that are surely different, asked for 40 (sampling.places)"
    ]


def test_a_view_without_heading_joins_no_views_that_look_opposite_ways():
    walk = Walk()
    walk.table.heading_deg[::4] = np.nan
    _, sampler = sampler_of(walk, views=4)

    for step in range(30):
        batch = sampler.batch(step)
        relation = walk.rule.labels(walk.table, batch.views[:, None], batch.views[None])
        assert (relation[batch.labels[:, None] == batch.labels[None]] != PairLabel.WRONG).all()


def test_one_place_alone_is_told_to_be_too_little():
    _, sampler = sampler_of(Named(["only"] * 4, ["only"] * 4))

    with pytest.raises(TrainingError, match="1 places"):
        sampler.batch(0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"positive_radius_m": 5.0, "negative_radius_m": 8.0}, "twice"),
        ({"positive_overlap": 0.5, "negative_overlap": 0.4}, "positive_overlap"),
        ({"fov_deg": 0.0}, "fov_deg"),
    ],
)
def test_a_rule_by_which_views_of_one_place_could_be_two_is_refused(values, words):
    with pytest.raises(TrainingError, match=words):
        LabelRule(**values)


class Photos(Named):
    """Photographs, each a place of its own."""

    self_supervised = True

    def __init__(self):
        names = [f"photo{n}" for n in range(8)]
        super().__init__(names, names)


@pytest.mark.parametrize(("renderings", "views", "plain"), [(1, 2, 0.15), (2, 2, 0.0), (2, 4, 0.15), (1, 2, 1.0)])
def test_renderings_so_few_that_all_views_of_a_photograph_are_alike_are_refused(renderings, views, plain):
    with pytest.raises(TrainingError, match=rf"cache\.renderings is {renderings}, .*expected at least {views + 1}"):
        sampler_of(Photos(), renderings=renderings, views=views, plain=plain)


@pytest.mark.parametrize(("renderings", "views", "told"), [(3, 4, True), (4, 4, True), (5, 4, False), (8, 4, False)])
def test_views_of_a_photograph_that_are_alike_are_told(renderings, views, told, caplog):
    _, sampler = sampler_of(Photos(), renderings=renderings, views=views, plain=0.15)

    batches = [sampler.batch(step) for step in range(30)]
    shown = [set(batch.renderings[batch.labels == 0]) for batch in batches]

    assert ("of a place of one image are alike" in caplog.text) == told
    assert (min(map(len, shown)) < views) == told


def test_few_renderings_are_enough_where_places_have_several_images_or_a_loss_has_proxies():
    several = Named(["a", "a", "b", "b"], ["a", "a", "b", "b"])

    assert sampler_of(several, renderings=2, views=2)
    assert sampler_of(Photos(), renderings=2, views=2, within_class=True)
