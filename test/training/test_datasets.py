"""Data sets in every layout, on small folders made here: which views there are, and which are one place."""

import math

import cv2
import numpy as np
import pytest
from made_up_places import scene, write_image

from vpr_ros.scoring import PairLabel
from vpr_ros.training.datasets.open_dataset import open_dataset, places_of_one_image
from vpr_ros.training.datasets.panorama_crop import Look, crop_panorama
from vpr_ros.training.datasets.specs import (
    GsvCitiesSpec,
    ManifestSpec,
    MslsSpec,
    PanoramaSpec,
    PhotosSpec,
    RobotSpec,
    UtmSpec,
)
from vpr_ros.training.datasets.views import CorruptImageError, Role
from vpr_ros.training.errors import TrainingError


def relation(data, one, other):
    return PairLabel(int(data.rule.labels(data.table, np.array(one), np.array(other))))


def view_of(data, ending):
    return next(row for row, path in enumerate(data.paths) if str(path).endswith(ending))


def names_in(folder, places):
    """Write a manifest of two images a place."""
    rows = [f"{place}/{view}.png,{place}" for place in places for view in range(2)]
    (folder / "manifest.csv").write_text("path,place_id\n" + "\n".join(rows))
    return folder


def test_a_manifest_gives_its_split_and_with_only_open_nothing_else(manifest_folder):
    everything = open_dataset(ManifestSpec("set"), manifest_folder.parent)
    learned = open_dataset(ManifestSpec("set", split="train", only_open=True), manifest_folder.parent)

    assert len(everything.table) == 18
    assert len(learned.table) == 9
    assert not [path for path in learned.paths if "street_3" in str(path)]
    assert dict(learned.facts.licences) == {"CC0-1.0": 9}
    assert learned.facts.places == 3
    assert relation(learned, 0, 2) == PairLabel.RIGHT
    assert relation(learned, 0, 3) == PairLabel.WRONG
    assert learned.read(0, None).shape == (120, 160, 3)


def test_names_with_numbers_are_places_like_others_unless_they_are_said_to_be_of_one_site(tmp_path):
    folder = names_in(tmp_path, ["tour_001", "tour_002", "bar_7"])

    plain = open_dataset(ManifestSpec(), folder)
    of_one_site = open_dataset(ManifestSpec(numbered_site=True), folder)

    assert relation(plain, 0, 2) == PairLabel.WRONG
    assert relation(of_one_site, 0, 2) == PairLabel.IGNORED
    assert relation(of_one_site, 0, 4) == PairLabel.WRONG


def test_a_manifest_may_say_itself_which_places_are_of_one_site(tmp_path):
    places = {"door": "inn", "yard": "inn", "bar_1": "bar", "bar_2": "other bar", "bar_3": "", "bar_4": ""}
    rows = [f"{place}/{view}.png,{place},{site}" for place, site in places.items() for view in range(2)]
    (tmp_path / "manifest.csv").write_text("path,place_id,site\n" + "\n".join(rows))

    data = open_dataset(ManifestSpec(numbered_site=True), tmp_path)

    assert relation(data, 0, 2) == PairLabel.IGNORED
    assert relation(data, 4, 6) == PairLabel.WRONG, "what it says goes before what names say"
    assert relation(data, 8, 10) == PairLabel.IGNORED, "and names count where it says nothing"


def test_places_of_one_site_under_several_names_are_told_by_patterns(tmp_path):
    folder = names_in(tmp_path, ["road_white", "road_dusk_2", "square", "square_night", "inn", "yard"])

    data = open_dataset(ManifestSpec(one_site=("road_*", "square*")), folder)

    assert relation(data, 0, 2) == PairLabel.IGNORED
    assert relation(data, 4, 6) == PairLabel.IGNORED
    assert relation(data, 2, 4) == PairLabel.WRONG, "each pattern is a site of its own"
    assert relation(data, 8, 10) == PairLabel.WRONG
    assert relation(open_dataset(ManifestSpec(), folder), 0, 2) == PairLabel.WRONG


def test_patterns_join_panoramas_of_one_site_and_no_others(tmp_path):
    folder = names_in(tmp_path, ["square", "square_night", "inn"])

    table = open_dataset(PanoramaSpec(paths="*", one_site=("square*",), headings=1, views_a_heading=2), folder).table

    families = table.family[::4]
    assert families[0] == families[1] != families[2]


def test_a_pattern_chooses_panoramas_of_a_folder_without_a_manifest(panorama_folder):
    root = panorama_folder.parent

    assert {path.stem for path in open_dataset(PanoramaSpec("around", paths="hall_[ab]*"), root).paths} == {
        "hall_a",
        "hall_b",
    }
    assert {path.stem for path in open_dataset(PanoramaSpec("around"), root).paths} == {"hall_a", "hall_b", "hall_c"}
    with pytest.raises(TrainingError, match=r"none of the 3 images in '.*around' has a path like 'attic\*'"):
        open_dataset(PanoramaSpec("around", paths="attic*"), root)


def test_one_image_a_place_is_one_clear_line_unless_it_is_meant_so(tmp_path):
    rows = [f"{place}.png,{place}" for place in "abc"]
    (tmp_path / "manifest.csv").write_text("path,place_id\n" + "\n".join(rows))

    with pytest.raises(TrainingError, match=r"no two of 3 views.*self_supervised: true"):
        open_dataset(ManifestSpec(), tmp_path)
    assert len(open_dataset(ManifestSpec(self_supervised=True), tmp_path).table) == 3


def test_places_of_one_image_are_counted_where_they_are_never_drawn(tmp_path):
    rows = [f"{place}{view}.png,{place}" for place, views in {"a": 3, "b": 1, "c": 1}.items() for view in range(views)]
    (tmp_path / "manifest.csv").write_text("path,place_id\n" + "\n".join(rows))

    assert places_of_one_image(open_dataset(ManifestSpec(), tmp_path)) == 2
    assert places_of_one_image(open_dataset(ManifestSpec(self_supervised=True), tmp_path)) == 0


def test_photographs_are_each_a_place_of_their_own(photo_folders):
    data = open_dataset(PhotosSpec("learn"), photo_folders)

    assert len(data.table) == 14
    assert data.self_supervised
    assert relation(data, 0, 0) == PairLabel.RIGHT
    assert relation(data, 0, 1) == PairLabel.WRONG


@pytest.mark.parametrize("border", [0.5, 0.9, 1 / 3])
def test_one_folder_of_photographs_is_learned_from_and_judged_on_without_sharing_one(photo_folders, border):
    learned = open_dataset(PhotosSpec("learn", part=(0, border)), photo_folders)
    judged = open_dataset(PhotosSpec("learn", part=(border, 1)), photo_folders)

    assert learned.paths + judged.paths == open_dataset(PhotosSpec("learn"), photo_folders).paths
    assert len(learned.table) == len(learned.paths) == round(border * 14)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["a.png,hall,x", "b.png"], r"manifest\.csv' line 3 ends before place_id, expected"),
        (["a.png,hall,x", "b.png,,x"], r"manifest\.csv' line 3: place_id is '', expected a name"),
        (
            ["a.png,hall,x", "a\0.png,hall,x"],
            r"manifest\.csv' line 3: path is .*, expected a file name|line contains NUL",
        ),
        (["a.png,hall,x", "b.png,hall,x", "./a.png,hall,x"], r"line 4: path is './a\.png', as in table .* line 2; "),
        (["a.png,hall,x", "b.png,hall,x", "b.png,inn,x"], r"line 4: path is 'b\.png', as in table .* line 3; "),
    ],
)
def test_a_row_that_names_no_place_or_no_image_of_its_own_is_told_by_its_line(tmp_path, rows, words):
    (tmp_path / "manifest.csv").write_text("path,place_id,site\n" + "\n".join(rows))

    with pytest.raises(TrainingError, match=words) as told:
        open_dataset(ManifestSpec(), tmp_path)
    assert "\n" not in str(told.value)


def test_rows_of_other_splits_may_name_no_place_and_columns_that_are_not_asked_for_may_be_short(tmp_path):
    rows = ["a.png,hall,train", "b.png,hall,train,x", "c.png,,val"]
    (tmp_path / "manifest.csv").write_text("path,place_id,split,licence\n" + "\n".join(rows))

    data = open_dataset(ManifestSpec(split="train"), tmp_path)

    assert len(data.table) == 2
    assert dict(data.facts.licences) == {"x": 1}


@pytest.mark.parametrize("chosen", [{"split": "train"}, {"only_open": True}])
def test_panoramas_without_a_manifest_are_not_taken_as_if_chosen(panorama_folder, chosen):
    with pytest.raises(TrainingError, match=f"{next(iter(chosen))} is .*has no manifest.csv"):
        open_dataset(PanoramaSpec("around", **chosen), panorama_folder.parent)


def test_a_crop_of_a_panorama_shows_the_direction_it_looks_in():
    """Each column of the panorama holds its own yaw, each row its own elevation; the crop's rays are computed anew."""
    panorama = np.zeros((180, 360, 3), np.uint8)
    panorama[..., 0] = np.arange(360) // 2
    panorama[..., 1] = np.arange(180)[:, None]
    look = Look(math.radians(40), math.radians(10), 0.0, math.radians(70))

    crop = crop_panorama(panorama, look, 81, 61)

    focal = 40.5 / math.tan(math.radians(35))
    for x, y in ((40, 30), (5, 30), (75, 50), (20, 8)):
        right, down, ahead = (x - 40) / focal, (y - 30) / focal, 1.0
        down, ahead = (
            down * math.cos(math.radians(10)) - ahead * math.sin(math.radians(10)),
            down * math.sin(math.radians(10)) + ahead * math.cos(math.radians(10)),
        )
        yaw = math.degrees(math.atan2(right, ahead)) + 40
        below = math.degrees(math.atan2(down, math.hypot(right, ahead)))
        assert crop[y, x, 0] == pytest.approx((yaw + 180) / 2, abs=1.5)
        assert crop[y, x, 1] == pytest.approx(below + 90, abs=1.5)


def test_a_roll_turns_the_picture_about_its_middle():
    panorama = scene(5, 256, 512)
    level = crop_panorama(panorama, Look(0.3), 101, 101)
    rolled = crop_panorama(panorama, Look(0.3, roll_rad=math.radians(90)), 101, 101)

    turned = (np.rot90(level), np.rot90(level, -1))
    differences = [np.abs(rolled.astype(int) - each).mean() for each in turned]
    assert min(differences) < 1
    assert max(differences) > 10


def test_a_crop_over_the_panoramas_seam_has_no_seam():
    panorama = np.repeat(np.abs(np.arange(360) - 180).astype(np.uint8)[None, :, None], 180, axis=0).repeat(3, axis=2)

    crop = crop_panorama(panorama, Look(math.pi), 101, 11)

    assert np.abs(np.diff(crop[5, :, 0].astype(int))).max() <= 2


def test_overlapping_crops_of_a_panorama_are_a_place_and_distant_headings_are_others(panorama_folder):
    spec = PanoramaSpec("around", headings=6, views_a_heading=3, jitter_deg=5)
    data = open_dataset(spec, panorama_folder.parent)

    assert len(data.table) == 3 * 6 * 3
    first, across = 0, 3 * 3
    assert relation(data, first, 1) == PairLabel.RIGHT
    assert relation(data, first, across) == PairLabel.WRONG
    assert relation(data, first, 6 * 3) == PairLabel.WRONG


def test_the_same_view_is_the_same_picture_and_another_look_is_not(panorama_folder):
    data = open_dataset(PanoramaSpec("around"), panorama_folder.parent)

    plain = data.read(3, None)
    varied = data.read(3, np.random.default_rng(1))

    assert plain.shape == (300, 400, 3)
    assert (plain == data.read(3, None)).all()
    assert (varied == data.read(3, np.random.default_rng(1))).all()
    assert not (plain == varied).all()


def test_an_image_that_is_no_panorama_is_told_by_its_size(tmp_path):
    write_image(tmp_path / "a.png", scene(1, 90, 120))
    write_image(tmp_path / "b.png", scene(1, 90, 180))
    data = open_dataset(PanoramaSpec(), tmp_path)

    with pytest.raises(CorruptImageError, match="120 x 90"):
        data.read(0, None)


def test_the_simulated_robots_poses_say_which_views_are_one_place():
    pytest.importorskip("vizdoom")
    drives = ("sim:office?laps=1&light=day", "sim:office?laps=1&light=night")
    spec = RobotSpec(drives, database=1, travel_m=2.0, turn_deg=60, negative_radius_m=6.0)

    data = open_dataset(spec, None)

    table = data.table
    day, night = np.flatnonzero(table.role == Role.DATABASE), np.flatnonzero(table.role == Role.QUERY)
    assert min(len(day), len(night)) > 5
    pairs = data.rule.labels(table, night[:, None], day[None])
    distance_m = np.linalg.norm(table.position_m[night[:, None]] - table.position_m[day[None]], axis=2)
    assert (distance_m[pairs == PairLabel.RIGHT] <= 1.0).all()
    assert (pairs == PairLabel.RIGHT).any(axis=1).mean() > 0.5
    assert data.read(int(night[0]), None).mean() < data.read(int(day[0]), None).mean()


def test_gsv_cities_finds_files_by_place_and_panorama(tmp_path):
    """A digit of the position differs between table and file name, as pandas' floats make it."""
    rows = ["place_id,year,month,northdeg,city_id,lat,lon,panoid"]
    write_image(tmp_path / "Images" / "Bonn" / "cover.jpg", scene(0))  # is no view of a place
    for place in (7, 8):
        for view in range(4 if place == 7 else 2):
            panoid = f"Ab_c-{place}{view}"
            rows.append(f"{place},2019,05,{370 + view},Bonn,50.7374312345,7.0982,{panoid}")
            name = f"Bonn_{place:07d}_2019_05_{370 + view:03d}_50.737431234_7.0982_{panoid}.{'JPG' if view else 'jpg'}"
            write_image(tmp_path / "Images" / "Bonn" / name, scene(place))
    (tmp_path / "Dataframes").mkdir()
    (tmp_path / "Dataframes" / "Bonn.csv").write_text("\n".join(rows))

    data = open_dataset(GsvCitiesSpec(".", least_images=4), tmp_path)
    both = open_dataset(GsvCitiesSpec(".", least_images=2), tmp_path)

    (tmp_path / "Dataframes" / "Bonn.csv").write_text("\n".join([*rows, *rows[-2:], *rows[-2:]]))
    repeated = open_dataset(GsvCitiesSpec(".", least_images=4), tmp_path)

    assert (len(data.table), len(both.table)) == (4, 6)
    assert repeated.paths == data.paths, "an image that is listed again is no other image"
    assert relation(both, 0, 3) == PairLabel.RIGHT
    assert relation(both, 0, 4) == PairLabel.WRONG
    assert (both.table.region == both.table.region[0]).all(), "one city"
    with pytest.raises(TrainingError, match="least_images"):
        open_dataset(GsvCitiesSpec(".", least_images=9), tmp_path)
    (tmp_path / "Dataframes" / "Bonn.csv").write_text("place_id,panoid\n7,x\nseven,x")
    with pytest.raises(TrainingError, match=r"Bonn\.csv' line 3: place_id is 'seven', expected a whole number"):
        open_dataset(GsvCitiesSpec("."), tmp_path)


def test_a_place_number_of_gsv_cities_is_another_place_in_another_city(tmp_path):
    (tmp_path / "Dataframes").mkdir()
    for number, city in enumerate(("Bonn", "Oslo")):
        for view in range(4):
            name = f"{city}_0000007_2019_05_370_50.7_7.0_{city}{view}.jpg"
            write_image(tmp_path / "Images" / city / name, scene(number))
        table = "\n".join(["place_id,panoid", *(f"7,{city}{view}" for view in range(4))])
        (tmp_path / "Dataframes" / f"{city}.csv").write_text(table)

    data = open_dataset(GsvCitiesSpec("."), tmp_path)

    bonn, oslo = view_of(data, "Bonn0.jpg"), view_of(data, "Oslo0.jpg")
    assert data.facts.places == 2
    assert relation(data, bonn, oslo) == PairLabel.WRONG
    assert data.table.region[bonn] != data.table.region[oslo]


def test_msls_reads_columns_by_name_and_leaves_panoramas_out(tmp_path):
    city = tmp_path / "train_val" / "cph"
    views = {  # key: part, easting, northing, compass angle, pano
        "d0": ("database", 300000.0, 6.1e6, 10, "False"),
        "d1": ("database", 300200.0, 6.1e6, 10, "False"),
        "d2": ("database", 300000.0, 6.1e6, 190, "False"),
        "d3": ("database", 300000.0, 6.1e6, 10, "True"),
        "q0": ("query", 300006.0, 6.1e6, 355, "False"),
        "q1": ("query", 300018.0, 6.1e6, 12, "False"),
    }
    for part in ("database", "query"):
        there = {key: view for key, view in views.items() if view[0] == part}
        for key in there:
            write_image(city / part / "images" / f"{key}.jpg", scene(1))
        raw = [f"{n},{key},12.5,55.6,{view[3]},0,{view[4]}" for n, (key, view) in enumerate(there.items())]
        (city / part / "raw.csv").write_text("\n".join([",key,lon,lat,ca,captured_at,pano", *raw]))
        placed = [f"{n},{key},0,{view[2]},{view[1]}" for n, (key, view) in enumerate(there.items())]
        (city / part / "postprocessed.csv").write_text("\n".join([",key,night,northing,easting", *placed]))

    data = open_dataset(MslsSpec("."), tmp_path)

    at = {key: view_of(data, f"{key}.jpg") for key in ("d0", "d1", "d2", "q0", "q1")}
    assert len(data.table) == 5
    assert relation(data, at["q0"], at["d0"]) == PairLabel.RIGHT
    assert relation(data, at["q0"], at["d1"]) == PairLabel.WRONG
    assert relation(data, at["q0"], at["d2"]) == PairLabel.WRONG  # the same spot, seen backwards
    assert relation(data, at["q1"], at["d0"]) == PairLabel.IGNORED  # 18 m: neither
    assert data.table.role[at["q0"]] == Role.QUERY
    assert data.table.role[at["d0"]] == Role.DATABASE
    (city / "query" / "postprocessed.csv").write_text("key,easting,northing\nq0,1,2\nq1,3,")
    with pytest.raises(TrainingError, match=r"query/postprocessed\.csv' line 3: northing is '', expected a number"):
        open_dataset(MslsSpec("."), tmp_path)


def test_positions_in_file_names_are_read_from_the_name_and_not_from_folders(tmp_path):
    names = {
        "database/@548000.10@4180000.50@10@S@37.7@-122.4@pano1@@90@@@@201901@@.jpg": 90.0,
        "database/@548030.10@4180000.50@10@S@37.7@-122.4@pano2@@90@@@@201901@@.jpg": 90.0,
        "queries/@548004.10@4180000.50@10@S@37.7@-122.4@q1@@100@@@@201901@@.jpg": 100.0,
        "queries/@548004.10@4180000.50@.jpg": math.nan,
    }
    folder = tmp_path / "odd@folder@name"
    for name in names:
        write_image(folder / name, scene(1))

    data = open_dataset(UtmSpec(folder.name), tmp_path)

    at = [view_of(data, name) for name in names]
    assert relation(data, at[2], at[0]) == PairLabel.RIGHT
    assert relation(data, at[2], at[1]) == PairLabel.WRONG
    assert relation(data, at[3], at[0]) == PairLabel.RIGHT
    np.testing.assert_equal(data.table.heading_deg[at], list(names.values()))


@pytest.mark.parametrize(
    "name", ["holiday.jpg", "@nan@4180000@.jpg", "@5480@inf@.jpg", f"@1@2{'@' * 7}inf{'@' * 6}.jpg"]
)
def test_a_file_name_without_a_position_is_told(tmp_path, name):
    write_image(tmp_path / name, scene(1))

    with pytest.raises(TrainingError, match=r"\.jpg' has no position in its name, expected @utm_east@utm_north"):
        open_dataset(UtmSpec("."), tmp_path)


def test_images_that_are_alone_at_their_position_are_counted(tmp_path):
    for east, heading in ((0, 90), (6, 90), (12, 90), (30, 90), (6, 270), (6, ""), (1000, 90)):
        write_image(tmp_path / f"@{east}@0{'@' * 7}{heading}{'@' * 6}.jpg", scene(1))

    assert places_of_one_image(open_dataset(UtmSpec("."), tmp_path)) == 4


@pytest.mark.parametrize("least", [1, 2])
def test_what_is_missing_is_asked_for_by_words_that_the_kind_knows(tmp_path, least):
    for number in range(2):
        write_image(tmp_path / "town" / f"@{1000 * number}@0@.jpg", scene(1))
        write_image(tmp_path / "Images" / "Bonn" / f"Bonn_{number}_2019_05_370_50.7_7.0_x.jpg", scene(1))
    (tmp_path / "Dataframes").mkdir()
    (tmp_path / "Dataframes" / "Bonn.csv").write_text("place_id,panoid\n0,x\n1,x")

    with pytest.raises(TrainingError, match=r"no two of 2 views .*positive_radius_m") as told:
        open_dataset(UtmSpec("town"), tmp_path)
    assert "self_supervised" not in str(told.value)
    with pytest.raises(TrainingError, match=r"least_images"):
        open_dataset(GsvCitiesSpec(".", least_images=least), tmp_path)


@pytest.mark.parametrize("beginning", ["\ufeffpath,place_id\n", "path, place_id\n", "path ,place_id \n"])
def test_a_table_may_be_written_by_excel_or_with_spaces_after_commas(tmp_path, beginning):
    (tmp_path / "manifest.csv").write_text(f"{beginning}a.png, hall\nb.png,hall\n", encoding="utf-8")

    assert open_dataset(ManifestSpec(), tmp_path).facts.places == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ManifestSpec("nowhere"), "no folder"),
        (ManifestSpec("set", split="test"), "split 'test'"),
        (PhotosSpec("empty"), "no image"),
        (PhotosSpec("set", part=(0.0, 0.01)), r"part \[0.0, 0.01\] of the 18 photographs in '.*set' is none"),
        (GsvCitiesSpec("set"), "Dataframes"),
        (MslsSpec("set"), "no city"),
    ],
)
def test_a_layout_that_is_not_there_is_told(manifest_folder, spec, words):
    (manifest_folder.parent / "empty").mkdir()

    with pytest.raises(TrainingError, match=words):
        open_dataset(spec, manifest_folder.parent)


def test_a_large_photograph_is_made_smaller_before_its_look_is_varied(tmp_path):
    write_image(tmp_path / "big" / "a.png", cv2.resize(scene(1), (2000, 1500)))

    assert open_dataset(PhotosSpec("big"), tmp_path).read(0, None).shape == (480, 640, 3)


@pytest.mark.parametrize(("width", "height"), [(4000, 2), (1, 1), (15, 200), (3000, 60)])
def test_an_image_too_small_or_too_narrow_to_show_a_place_is_counted_as_corrupt(tmp_path, width, height):
    write_image(tmp_path / "strip" / "a.png", np.zeros((height, width, 3), np.uint8))

    with pytest.raises(CorruptImageError, match=f"a.png is {width} x {height} pixels, expected at least 16 x 16"):
        open_dataset(PhotosSpec("strip"), tmp_path).read(0, None)


def test_a_small_image_is_read(tmp_path):
    write_image(tmp_path / "small" / "a.png", np.zeros((16, 20, 3), np.uint8))

    assert open_dataset(PhotosSpec("small"), tmp_path).read(0, None).shape == (16, 20, 3)
