"""Results as files."""

import os
import stat
from threading import Thread

import pytest

from vpr_ros.evaluation import ResultError, write_whole


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    file = tmp_path / "result.json"
    file.write_text("before")

    write_whole(file, "after")

    assert file.read_text() == "after"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = []
    reader = Thread(target=lambda: heard.append(pipe.read_text()), daemon=True)
    reader.start()

    write_whole(pipe, "result")

    reader.join(timeout=60)
    assert heard == ["result"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_place_that_takes_no_file_is_one_line(tmp_path):
    with pytest.raises(ResultError, match="choose another place"):
        write_whole(tmp_path / "nowhere" / "result.json", "result")
    with pytest.raises(ResultError, match="choose another place"):
        write_whole(tmp_path, "result")
