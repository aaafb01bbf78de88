"""The HTML report says what the run gave, escapes what it was given, and needs nothing but itself."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from vpr_ros.detection import Settings
from vpr_ros.detection.policy import Policy, policy_as_yaml
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

    def having(self, *class_names):
        return [a for _, a in self.tags if set(class_names) <= set((a.get("class") or "").split())]


def assessment(*marks, revisits=4):
    right, wrong = marks.count("right"), marks.count("wrong")
    figures = LoopFigures(queries_with_revisit=revisits, correct=right, wrong=wrong)
    return Assessment(marks=marks, figures=figures, truth="poses, 1 m")


@pytest.fixture
def page_of(square):
    """The page of one run, its map full of grey thumbnails unless told otherwise."""

    def page(recording, judged=None, settings=None, place_map=None):
        section = section_of(recording, judged, settings or Settings(), place_map or square.place_map(JPEG))
        return Page(render_report([section]))

    return page


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


def test_without_truth_nothing_is_called_right_or_wrong(square, page_of):
    page = page_of(square.recording([square.closure(4, 0)]))

    assert "1 loop closure, not judged" in page.text
    assert not page.having("right")
    assert not page.having("wrong")


def test_a_wrong_closure_is_drawn_listed_and_shown_as_wrong(square, page_of):
    recording = square.recording([square.closure(4, 0), square.closure(5, 3)])

    page = page_of(recording, assessment("right", "wrong"))

    assert len([a for a in page.having("pair") if "wrong" in a["class"]]) == 1
    # Two views from above (truth and odometry) and the time line draw each loop once.
    assert len([a for a in page.having("loop") if "wrong" in a["class"]]) == 3
    assert len([a for a in page.having("loop") if "right" in a["class"]]) == 3


def test_each_refusing_stage_shows_the_best_candidate_of_each_query_and_says_how_many_there_were(square, page_of):
    refused = [
        square.decision(
            query, 0, accepted=False, stage="margin", similarity=query / 10 + n / 100, reason=f"r{query}{n}"
        )
        for query in (4, 5, 6)
        for n in range(3)
    ]

    page = page_of(square.recording(refused=refused))

    assert "margin : 9" in page.text
    assert "The 3 best of 9, one a query." in page.text
    table = page.text.split("Decisions")[1]
    assert re.findall(r"r\d\d", table) == ["r62", "r52", "r42"]


def test_what_comes_from_outside_is_escaped(square, page_of):
    evil = "<script>alert(1)</script>"
    refused = [square.decision(4, 0, accepted=False, reason=evil)]

    page = page_of(square.recording(refused=refused, drops={evil: 1}))

    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(evil) == 3, "dropped, refused, and refused as a picture"


def test_the_page_fetches_nothing(square):
    recording = square.recording([square.closure(4, 0)])
    html = render_report([section_of(recording, None, Settings(), square.place_map(JPEG))])

    assert not re.search(r"https?://|@import|url\(", html)
    assert all(attributes["src"].startswith("data:image/jpeg;base64,") for attributes in images_of(Page(html)))
    assert len(images_of(Page(html))) == 1


def test_accepted_candidates_are_listed_the_worst_first(square, page_of):
    recording = square.recording([square.closure(4, 0), square.closure(5, 1), square.closure(6, 3)])

    page = page_of(recording, assessment("right", "right", "wrong"))

    listed = re.findall(r"(\d\.0) s, frame \d+ \S+ s, frame \d+ 0\.900", page.text)
    assert listed == ["6.0", "4.0", "5.0"]


def test_what_was_compared_is_plotted_in_the_colours_of_truth(square, page_of):
    refused = [square.decision(7, 2, accepted=False, similarity=0.4)]
    recording = square.recording([square.closure(4, 0), square.closure(5, 3)], refused)

    page = page_of(recording, assessment("right", "wrong"))

    # One path a colour in each of two plots, a point a candidate.
    spots = {kind: page.having("spots", kind) for kind in ("right", "wrong", "refused")}
    assert [len(paths) for paths in spots.values()] == [2, 2, 2]
    assert all(path["d"].count("M") == 1 for paths in spots.values() for path in paths)
    # Query 4 of 0 ... 7 met place 0: it lies 4/7 across, at the bottom.
    assert spots["right"][0]["d"] == "M260.9 258.0h0"


def test_a_map_without_images_leaves_the_pairs_without_images(square, page_of):
    page = page_of(square.recording([square.closure(4, 0)]), place_map=square.place_map())

    assert not images_of(page)
    assert page.text.count("no image kept") == 1


def test_many_closures_are_shown_in_part_and_the_wrong_ones_first(square, page_of):
    closures = [square.closure(4 + n % 4, n % 4) for n in range(60)]
    marks = ["right"] * 60
    marks[57] = "wrong"

    page = page_of(square.recording(closures), assessment(*marks))

    pairs = page.having("pair")
    assert len(pairs) == 24
    assert "wrong" in pairs[0]["class"]
    assert "24 of 60 pairs" in page.text


def test_accepted_pairs_are_shown_the_wrong_ones_first_then_the_least_probable(square, page_of):
    closures = [square.closure(4 + n, n, probability) for n, probability in enumerate((0.99, 0.85, 0.9, 0.95))]

    page = page_of(square.recording(closures), assessment("right", "right", "right", "wrong"))

    assert [pair["id"] for pair in page.having("pair")] == [f"run-1-pair-{number}" for number in (3, 1, 2, 0)]


def test_the_best_refused_candidates_are_shown_with_their_reasons_one_a_keyframe_that_closed_no_loop(square, page_of):
    refused = [
        square.decision(5, 0, accepted=False, stage="margin", probability=0.3, reason="far from it"),
        square.decision(5, 1, accepted=False, stage="margin", probability=0.6, reason="a twin"),
        square.decision(6, 2, accepted=False, stage="probability", probability=0.7, reason="not sure"),
        square.decision(4, 1, accepted=False, stage="best", probability=0.8, reason="outdone"),
    ]

    page = page_of(square.recording([square.closure(4, 0)], refused))

    shown = page.text.split("What was refused")[1].split("Decisions")[0]
    assert len(page.having("pair", "refused")) == 2
    assert re.findall("not sure|a twin|far from it|outdone", shown) == ["not sure", "a twin"]
    assert "refused: probability similarity 0.900 probability 0.70" in shown


def test_a_pair_without_lines_says_why(square, page_of):
    page = page_of(square.recording([square.closure(4, 0)]))

    assert "no lines: one of the two was stored without features" in page.text


def test_the_policys_reliability_is_drawn_with_its_counts(square, page_of, tmp_path):
    bins = [{"pairs": 90, "said": 0.1, "true": 0.2}, {"pairs": 10, "said": 0.9, "true": 0.8}]
    path = tmp_path / "policy.yaml"
    path.write_text(policy_as_yaml(Policy("by hand", bias=0.0, weights={}), {"reliability": bins}))

    page = page_of(square.recording(), settings=Settings.from_values({"policy": str(path)}))

    assert len(page.having("spot")) == 2
    assert "90 10" in page.text
    assert "100 labelled pairs" in page.text


def test_an_encoder_nobody_calibrated_has_no_reliability_diagram(square, page_of):
    assert not page_of(square.recording()).having("reliability")


def test_eighty_closures_make_a_page_below_three_megabytes(square, images):
    """Photographs as thumbnails, in the size that the detector keeps."""
    photograph = cv2.resize(cv2.imread(str(images / "office" / "001.jpg")), (320, 240))
    place_map = square.place_map(cv2.imencode(".jpg", photograph, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    closures = [square.closure(4 + n % 4, n % 4) for n in range(80)]

    html = render_report([section_of(square.recording(closures), None, Settings(), place_map)])

    assert html.count("data:image/jpeg") == 24
    assert len(html) < 3_000_000


def test_a_place_of_an_earlier_session_is_named_by_session_and_place(square, page_of):
    page = page_of(square.recording([square.closure(4, 99)]))

    assert "place 99 of session 0" in page.text


def test_changed_settings_stand_out(square, page_of):
    page = page_of(square.recording(), settings=Settings.from_values({"min_similarity": 0.81}))

    assert "min_similarity = 0.81" in page.text
    assert len(page.having("changed")) == 1


def test_several_runs_share_one_page_under_an_overview(square):
    section = section_of(square.recording(), None, Settings(), square.place_map())

    page = Page(render_report([section, section]))

    assert "Loop closures in 2 recordings" in page.text
    assert [attributes["id"] for tag, attributes in page.tags if tag == "article"] == ["run-1", "run-2"]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to open the report with")
def test_a_browser_opens_the_page_and_draws_every_loop(square, tmp_path):
    recording = square.recording([square.closure(4, 0), square.closure(5, 1)])
    path = tmp_path / "report.html"
    section = section_of(recording, assessment("right", "right"), Settings(), square.place_map(JPEG))
    path.write_text(render_report([section]))

    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert done.stdout.count('class="loop right"') == 6


def images_of(page):
    return [attributes for tag, attributes in page.tags if tag == "img"]
