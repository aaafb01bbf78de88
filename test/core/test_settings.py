"""Settings are overridden strictly: a typing error never passes in silence."""

import pytest

from vpr_ros.core.settings import SettingsError
from vpr_ros.detection import Settings, read_settings_file


def test_without_any_file_every_setting_has_a_default():
    assert Settings.from_values({}) == Settings()


def test_a_file_holds_only_what_differs(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(
        "loop_closure_node:\n  ros__parameters:\n"
        "    use_sim_time: true\n    keyframe_travel_m: 2\n    mode: localization\n"
    )

    settings = Settings.from_values(read_settings_file(path))

    assert settings.keyframes.keyframe_travel_m == 2.0
    assert settings.choice.mode == "localization"
    assert settings.thresholds == Settings().thresholds


def test_a_plain_mapping_is_read_too(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text("top_k: 3\n")
    assert Settings.from_values(read_settings_file(path)).thresholds.top_k == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"min_simlarity": 0.5}, "did you mean 'min_similarity'"),
        ({"min_similarity": 1.5}, "min_similarity is 1.5, expected -1 to 1"),
        ({"top_k": "many"}, "expected a int"),
        ({"mode": "drive"}, "expected one of mapping, localization"),
        ({"zzz": 1}, "there are: encoder"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_allowed(values, said):
    with pytest.raises(SettingsError, match=said):
        Settings.from_values(values)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "!!python/object/apply:os.system ['true']"])
def test_a_file_that_is_no_settings_file_is_refused_and_never_run(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"bad\.yaml"):
        read_settings_file(path)
