"""The HTML report says what the run gave, escapes what it was given, and needs nothing but itself."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from vpr_ros.detection import Settings
from vpr_ros.evaluation import Assessment, headline, render_report, section_of
from vpr_ros.scoring import LoopFigures

VOID = {"meta", "link", "img", "br", "hr", "input", "circle", "path"}
JPEG = cv2.imencode(".jpg", np.full((24, 32, 3), 128, np.uint8))[1].tobytes()


class Page(HTMLParser):
    """The page's tags, checked for balance, and its visible text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "title"}:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def having(self, class_name):
        return [attributes for _, attributes in self.tags if class_name in (attributes.get("class") or "").split()]


def assessment(*marks, revisits=4):
    right, wrong = marks.count("right"), marks.count("wrong")
    figures = LoopFigures(queries_with_revisit=revisits, correct=right, wrong=wrong)
    return Assessment(marks=marks, figures=figures, truth="poses, 1 m")


def page_of(recording, judged=None, settings=None, thumbnail=lambda _: JPEG):
    return Page(render_report([section_of(recording, judged, settings or Settings(), thumbnail)]))


@pytest.mark.parametrize(
    ("matches", "marks", "revisits", "words"),
    [
        ({4: 0, 5: 1}, ("right", "right"), 4, "2 loop closures, none wrong"),
        ({4: 0, 5: 3}, ("right", "wrong"), 4, "2 loop closures, 1 wrong"),
        ({4: 0}, ("right",), 4, "1 loop closure, none wrong"),
        ({}, (), 4, "No loop found, though 4 keyframes came back"),
        ({}, (), 0, "No loop found, and there is none"),
    ],
)
def test_the_headline_is_the_verdict(square, matches, marks, revisits, words):
    recording = square.recording([square.closure(query, match) for query, match in matches.items()])

    assert headline(recording, assessment(*marks, revisits=revisits)) == words


def test_without_truth_nothing_is_called_right_or_wrong(square):
    page = page_of(square.recording([square.closure(4, 0)]))

    assert "1 loop closure, not judged" in page.text
    assert not page.having("right")
    assert not page.having("wrong")


def test_a_wrong_closure_is_drawn_listed_and_shown_as_wrong(square):
    recording = square.recording([square.closure(4, 0), square.closure(5, 3)])

    page = page_of(recording, assessment("right", "wrong"))

    assert len([a for a in page.having("pair") if "wrong" in a["class"]]) == 1
    # Two views from above (truth and odometry) and the time line draw each loop once.
    assert len([a for a in page.having("loop") if "wrong" in a["class"]]) == 3
    assert len([a for a in page.having("loop") if "right" in a["class"]]) == 3


def test_each_refusing_stage_shows_its_most_similar_candidates_and_says_how_many_there_were(square):
    refused = [
        square.decision(4, 0, accepted=False, stage="margin", similarity=0.5 + n / 100, reason=f"reason {n}")
        for n in range(8)
    ]

    page = page_of(square.recording(refused=refused))

    assert "margin : 8" in page.text
    assert "The 5 most similar of 8." in page.text
    assert "reason 7" in page.text
    assert "reason 2" not in page.text


def test_what_comes_from_outside_is_escaped(square):
    evil = "<script>alert(1)</script>"
    refused = [square.decision(4, 0, accepted=False, reason=evil)]

    page = page_of(square.recording(refused=refused, drops={evil: 1}))

    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(evil) == 2


def test_the_page_fetches_nothing(square):
    html = render_report([section_of(square.recording([square.closure(4, 0)]), None, Settings(), lambda _: JPEG)])

    assert not re.search(r"https?://|@import|url\(", html)
    assert all(attributes["src"].startswith("data:image/jpeg;base64,") for attributes in images_of(Page(html)))
    assert len(images_of(Page(html))) == 2


def test_a_map_without_images_leaves_the_pairs_without_images(square):
    page = page_of(square.recording([square.closure(4, 0)]), thumbnail=lambda _: None)

    assert not images_of(page)
    assert page.text.count("no image kept") == 2


def test_many_closures_are_shown_in_part_and_the_wrong_ones_first(square):
    closures = [square.closure(4 + n % 4, n % 4) for n in range(60)]
    marks = ["right"] * 60
    marks[57] = "wrong"

    page = page_of(square.recording(closures), assessment(*marks))

    pairs = page.having("pair")
    assert len(pairs) == 24
    assert "wrong" in pairs[0]["class"]
    assert "24 of 60 pairs" in page.text


def test_a_place_of_an_earlier_session_is_named_by_session_and_place(square):
    page = page_of(square.recording([square.closure(4, 99)]))

    assert "place 99 of session 0" in page.text


def test_changed_settings_stand_out(square):
    page = page_of(square.recording(), settings=Settings.from_values({"min_similarity": 0.81}))

    assert "min_similarity = 0.81" in page.text
    assert len(page.having("changed")) == 1


def test_several_runs_share_one_page_under_an_overview(square):
    section = section_of(square.recording(), None, Settings(), lambda _: None)

    page = Page(render_report([section, section]))

    assert "Loop closures in 2 recordings" in page.text
    assert [attributes["id"] for tag, attributes in page.tags if tag == "article"] == ["run-1", "run-2"]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to open the report with")
def test_a_browser_opens_the_page_and_draws_every_loop(square, tmp_path):
    recording = square.recording([square.closure(4, 0), square.closure(5, 1)])
    path = tmp_path / "report.html"
    path.write_text(render_report([section_of(recording, assessment("right", "right"), Settings(), lambda _: JPEG)]))

    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert done.stdout.count('class="loop right"') == 6


def images_of(page):
    return [attributes for tag, attributes in page.tags if tag == "img"]
