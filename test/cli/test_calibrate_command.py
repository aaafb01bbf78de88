"""``vpr_ros calibrate``: from a labelled drive of the simulated robot to a policy that ``loops`` takes."""

import json

import pytest
import yaml

SETTINGS = ("--set", "target_precision=0.99", "--set", "top_k=4")  # few candidates: the test is to be quick
# An image a second, which is one a metre: 44 of the first lap, of which none was seen before, and 25 of the second.
RING = "sim:ring?laps=2&rate_hz=1"


def test_a_drive_of_two_laps_gives_a_policy_that_loops_accepts(vpr_ros, images, tmp_path):
    done = vpr_ros("calibrate", RING, "--to-s", "68", "--poses", "source", "--out", "ring.yaml", *SETTINGS)

    assert done.returncode == 0, done.stderr
    assert "ring.yaml" in done.stdout
    content = yaml.safe_load((tmp_path / "ring.yaml").read_text())
    notes, policy = content["notes"], content["policy"]
    assert notes["sources"] == [RING]
    assert min(notes["right"], notes["wrong"]) >= 20
    assert sum(bin_["pairs"] for bin_ in notes["reliability"]) == notes["right"] + notes["wrong"]
    assert f"{notes['right']} right and {notes['wrong']} wrong best candidates" in done.stdout
    assert min(policy["weights"].values()) >= 0

    # So few pairs can't vouch for 99 of 100, and the user is told.
    assert max(precision for _, precision in policy["accepted"]) < 0.99
    assert "nothing will be accepted with it at target_precision 0.99" in done.stdout
    loops = vpr_ros(
        "loops", images / "office", "--set", "policy=ring.yaml", "--set", "target_precision=0.9",
        "--decisions", "d.jsonl",
    )  # fmt: skip
    assert loops.returncode == 0, loops.stderr
    decisions = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    asked = next(least for least, precision in policy["accepted"] if precision >= 0.9)
    assert {d["threshold"] for d in decisions if d["stage"] == "probability"} == {asked}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{office}"], ["truth", "--poses", "--revisits"]),
        (["{office}", "--poses", "source"], ["carries no poses"]),
        (["{office}", "--revisits", "absent.csv"], ["absent.csv"]),
        (
            ["{office}", "--revisits", "{office}/../revisits.csv"],
            ["right and", "wrong pairs are too few", "20 of each"],
        ),
        (["{office}", "--revisits", "absent.csv", "--out", "no/such/policy.yaml"], ["no/such"]),
        (["nowhere", "--poses", "source"], ["nowhere"]),
        ([], ["SOURCE"]),
    ],
)
def test_what_can_not_be_done_is_one_line_and_status_2(vpr_ros, images, tmp_path, arguments, words):
    done = vpr_ros("calibrate", *(argument.format(office=images / "office") for argument in arguments))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("vpr_ros")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "policy.yaml").exists()
