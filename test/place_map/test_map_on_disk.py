"""The map's folder: what can be wrong with it, who may open it, what survives."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import RECIPE, assert_same, fill, keyframe

from vpr_ros.place_map import MapError, PlaceMap, RecipeMismatchError, check_map

HERE = Path(__file__).parent
CHILD = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from made_up import *
from vpr_ros.place_map import *
{code}
"""


@pytest.fixture
def directory(tmp_path):
    """Folder of a map with ten places."""
    directory = tmp_path / "office.vprmap"
    with PlaceMap.open_or_create(directory, RECIPE) as place_map:
        fill(place_map, 10)
    return directory


def start(code):
    """Run code in another process."""
    program = CHILD.format(paths=[str(HERE), str(HERE.parents[1])], code=code)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def refused(directory, **how):
    """Return the one sentence with which a map is refused."""
    with pytest.raises(MapError) as caught:
        PlaceMap.open(directory, RECIPE, **how)
    return str(caught.value)


@pytest.mark.parametrize("acknowledged", [1, 7, 400])
def test_a_killed_process_loses_no_place_it_acknowledged(tmp_path, acknowledged):
    directory = tmp_path / "street.vprmap"
    child = start(
        f"m = PlaceMap.open_or_create(Path({str(directory)!r}), RECIPE)\n"
        "m.start_session()\n"
        "while True:\n"
        "    m.add(keyframe(m.next_id, thumbnail=bytes(9000)))\n"
        "    print(m.next_id - 1, flush=True)"
    )
    last = -1
    while last < acknowledged - 1:
        last = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    last = max([last, *map(int, child.communicate()[0].split())])

    with PlaceMap.open_or_create(directory, RECIPE) as place_map:
        assert len(place_map) > last
        for place_id in range(last + 1):
            assert_same(place_map.place(place_id), keyframe(place_id))
            assert place_map.thumbnail(place_id) == bytes(9000)
        fill(place_map, 1)
    assert check_map_without_thumbnails(directory) == []


def check_map_without_thumbnails(directory):
    """Return what is wrong, but for the thumbnails, which are made up."""
    return [problem for problem in check_map(directory) if "thumbnail" not in problem]


def test_one_process_writes_and_others_read(directory):
    child = start(
        f"m = PlaceMap.open(Path({str(directory)!r}), RECIPE)\nprint('open', flush=True)\n"
        "input()\nm.add(keyframe(10))\nprint('added', flush=True)\ninput()"
    )
    assert child.stdout.readline() == "open\n"

    assert f"open for writing in process {child.pid}" in refused(directory)
    with PlaceMap.open(directory, RECIPE, read_only=True) as reader:
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "added\n"
        assert len(reader) == 10, "a reader sees the map as it was when it was opened"
        assert reader.thumbnail(3) == b"jpeg of 3"
    with PlaceMap.open(directory, RECIPE, read_only=True) as reader:
        assert len(reader) == 11

    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    with PlaceMap.open(directory, RECIPE) as place_map:
        assert len(place_map) == 11


def test_a_map_can_be_opened_again_once_it_was_refused_or_closed(directory):
    with PlaceMap.open(directory, RECIPE), pytest.raises(MapError, match=f"process {os.getpid()}"):
        PlaceMap.open(directory, RECIPE)
    with pytest.raises(RecipeMismatchError):
        PlaceMap.open(directory, replace(RECIPE, name="other"))
    PlaceMap.open(directory, RECIPE).close()


def test_a_read_only_map_refuses_to_grow(directory):
    with PlaceMap.open(directory, RECIPE, read_only=True) as place_map:
        with pytest.raises(MapError, match="reading only"):
            place_map.start_session()
        with pytest.raises(MapError, match="reading only"):
            place_map.add(keyframe(10))
        place_map.checkpoint()
        assert len(place_map) == 10


def test_a_full_disk_stops_the_map_and_breaks_nothing(tmp_path):
    """A real file system of 1 MiB that fills up and grows again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", disk):
        pytest.skip("the tests may not mount file systems")
    try:
        with PlaceMap.open_or_create(disk / "full.vprmap", RECIPE) as place_map:
            assert "full; free some space" in fill_up(place_map)
            kept = len(place_map)
            assert kept > 10
            assert "full" in fill_up(place_map)
            assert place_map.search(keyframe(5).descriptor, 1)[0].id == 5
            assert mount("-o", "remount,size=4m", disk)
            fill(place_map, 1)
        with PlaceMap.open(disk / "full.vprmap", RECIPE) as place_map:
            assert len(place_map) == kept + 1
            assert_same(place_map.place(kept), keyframe(kept, session=place_map.session))
        assert check_map_without_thumbnails(disk / "full.vprmap") == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_disk_that_refuses_to_write_stops_the_map_and_breaks_nothing(directory):
    """A limit on the size of files does it without any rights."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with PlaceMap.open(directory, RECIPE) as place_map:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limit[1]))
        try:
            assert "map 'office.vprmap' can't be written" in fill_up(place_map)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        kept = len(place_map)
        assert kept > 20
        fill(place_map, 1)
    with PlaceMap.open(directory, RECIPE) as place_map:
        assert len(place_map) == kept + 1
    assert check_map_without_thumbnails(directory) == []


def fill_up(place_map):
    """Add places until that fails, and return what is said then."""
    try:
        session = place_map.start_session()
        while True:
            place_map.add(keyframe(place_map.next_id, session, thumbnail=bytes(9000)))
    except MapError as error:
        return str(error)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_map_on_a_read_only_disk_can_be_read(directory, tmp_path, is_killed):
    """Also as a killed process left it, with places that are still in the write-ahead log."""
    if is_killed:
        child = start(
            f"m = PlaceMap.open(Path({str(directory)!r}), RECIPE)\n"
            "m.add(keyframe(10))\nm.add(keyframe(11))\nprint('added', flush=True)\ninput()"
        )
        assert child.stdout.readline() == "added\n"
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    seen_here = tmp_path / "disk"
    seen_here.mkdir()
    if not (mount("--bind", directory.parent, seen_here) and mount("-o", "remount,bind,ro", seen_here)):
        pytest.skip("the tests may not mount file systems")
    try:
        with PlaceMap.open(seen_here / directory.name, RECIPE, read_only=True) as place_map:
            assert len(place_map) == (12 if is_killed else 10)
            assert place_map.thumbnail(9) == b"jpeg of 9"
        assert "reading only" in refused(seen_here / directory.name)
    finally:
        subprocess.run(["umount", seen_here], check=True)


def mount(*words):
    """Mount a file system if that is allowed here."""
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


def test_a_recipe_that_differs_is_refused_with_both_names(directory):
    other = replace(RECIPE, name="gem-lite", weights_sha256="91ab" * 16)
    with pytest.raises(RecipeMismatchError) as caught:
        PlaceMap.open_or_create(directory, other)
    assert str(caught.value) == (
        "map 'office.vprmap' holds descriptors of 'made-up' (sha256 abababab...), but this encoder is 'gem-lite' "
        "(sha256 91ab91ab...). Descriptors of different encoders can't be compared. Start with --encoder made-up, or "
        "make a new map with --map office-gem-lite.vprmap."
    )


def test_the_same_encoder_with_other_preprocessing_is_refused_and_told_what_differs(directory):
    with pytest.raises(RecipeMismatchError, match=r"differ in width .32 there, 64 here.*Use the weights and settings"):
        PlaceMap.open(directory, replace(RECIPE, width=64))


def test_another_wording_of_the_licence_changes_no_descriptor(directory):
    PlaceMap.open(directory, replace(RECIPE, licence="Apache-2.0")).close()


@pytest.mark.parametrize("read_only", [True, False])
class TestAMapThatIsNone:
    """Each is refused in one sentence that names it."""

    def test_a_missing_folder(self, tmp_path, read_only):
        assert "there is no map at" in refused(tmp_path / "nowhere.vprmap", read_only=read_only)
        assert not (tmp_path / "nowhere.vprmap").exists()

    def test_a_folder_of_other_things(self, tmp_path, read_only):
        (tmp_path / "cat.png").touch()
        assert "there is no map at" in refused(tmp_path, read_only=read_only)
        assert [p.name for p in tmp_path.iterdir()] == ["cat.png"]

    def test_a_text_file(self, directory, read_only):
        (directory / "map.sqlite3").write_text("query,match\n" * 1000)
        assert "map 'office.vprmap' is damaged or no map at all" in refused(directory, read_only=read_only)

    def test_an_empty_file(self, directory, read_only):
        (directory / "map.sqlite3").write_bytes(b"")
        assert "'office.vprmap' holds an SQLite database that is no map" in refused(directory, read_only=read_only)

    def test_another_program_s_database(self, directory, read_only):
        (directory / "map.sqlite3").unlink()
        with sqlite3.connect(directory / "map.sqlite3") as connection:
            connection.execute("CREATE TABLE Node (id INTEGER)")
        before = (directory / "map.sqlite3").read_bytes()
        assert "database that is no map" in refused(directory, read_only=read_only)
        assert (directory / "map.sqlite3").read_bytes() == before, "nothing of it was changed"

    def test_a_newer_schema(self, directory, read_only):
        change(directory, "PRAGMA user_version = 99")
        assert "has schema 99, this vpr_ros reads 2" in refused(directory, read_only=read_only)

    @pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
    def test_a_truncated_file(self, directory, read_only, kept):
        path = directory / "map.sqlite3"
        os.truncate(path, int(kept * path.stat().st_size))
        assert "map 'office.vprmap' is damaged" in refused(directory, read_only=read_only)

    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE recipe SET json = '{'",
            "UPDATE recipe SET json = '{\"name\": 3}'",
            "DELETE FROM recipe",
            "DELETE FROM places WHERE id = 4",
            "UPDATE places SET descriptor = x'00' WHERE id = 4",
            "UPDATE places SET t_odom_camera = x'00' WHERE id = 4",
            "UPDATE places SET camera = '{\"width\": -1}' WHERE id = 4",
            "UPDATE places SET camera = 'nonsense' WHERE id = 4",
        ],
    )
    def test_values_that_make_no_sense(self, directory, read_only, damage):
        change(directory, damage)
        assert "map 'office.vprmap' is damaged" in refused(directory, read_only=read_only)

    def test_a_missing_table(self, directory, read_only):
        change(directory, "DROP TABLE places")
        assert "map 'office.vprmap' can't be read: no such table" in refused(directory, read_only=read_only)


def change(directory, statement):
    """Change a map behind its back."""
    connection = sqlite3.connect(directory / "map.sqlite3")
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_new_map_is_not_made_among_other_things(tmp_path):
    (tmp_path / "cat.png").touch()
    with pytest.raises(MapError, match=r"holds other things, such as 'cat.png'"):
        PlaceMap.open_or_create(tmp_path, RECIPE)
    with pytest.raises(MapError, match="can't be made"):
        PlaceMap.open_or_create(tmp_path / "cat.png", RECIPE)
    assert [p.name for p in tmp_path.iterdir()] == ["cat.png"]


def test_a_map_whose_making_was_cut_off_is_made_again(tmp_path):
    directory = tmp_path / "cut.vprmap"
    directory.mkdir()
    (directory / "map.sqlite3.new").write_bytes(b"half a database")
    (directory / "map.lock").write_text("12345\n")

    with PlaceMap.open_or_create(directory, RECIPE) as place_map:
        fill(place_map, 1)

    assert sorted(p.name for p in directory.iterdir()) == ["map.lock", "map.sqlite3"]


@pytest.mark.parametrize("delay_s", [0.0, 0.0005, 0.001, 0.002, 0.004])
def test_a_process_killed_while_it_makes_a_map_leaves_one_that_opens(tmp_path, delay_s):
    """Killed at the first sign of a file, or a little later."""
    directory = tmp_path / "cut.vprmap"
    child = start(f"print('ready', flush=True)\nPlaceMap.open_or_create(Path({str(directory)!r}), RECIPE)\ninput()")
    assert child.stdout.readline() == "ready\n"
    while not directory.exists():
        assert child.poll() is None
    time.sleep(delay_s)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()

    with PlaceMap.open_or_create(directory, RECIPE) as place_map:
        fill(place_map, 3)
    with PlaceMap.open(directory) as place_map:
        assert len(place_map) == 3


def test_after_a_checkpoint_the_one_file_is_the_whole_map(tmp_path):
    with PlaceMap.open_or_create(tmp_path / "a.vprmap", RECIPE, durable=True) as place_map:
        fill(place_map, 20)
        place_map.checkpoint()
        copy = tmp_path / "b.vprmap"
        copy.mkdir()
        (copy / "map.sqlite3").write_bytes((tmp_path / "a.vprmap/map.sqlite3").read_bytes())
        with PlaceMap.open(copy, RECIPE) as copied:
            assert len(copied) == 20


def test_a_folder_with_signs_that_mean_something_in_a_uri_is_opened(tmp_path):
    directory = tmp_path / "50% of #1?mode=memory.vprmap"
    with PlaceMap.open_or_create(directory, RECIPE) as place_map:
        fill(place_map, 1)
    with PlaceMap.open(directory) as place_map:
        assert len(place_map) == 1
    assert (directory / "map.sqlite3").is_file()
