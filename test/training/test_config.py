"""Configs: the shipped ones read, and what is wrong is named with what is right."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from made_up_places import small_values

from vpr_ros.core import VprError
from vpr_ros.training.appearance import STRONG
from vpr_ros.training.checkpoint import config_values
from vpr_ros.training.config_file import config_of_values, read_config
from vpr_ros.training.datasets.specs import PanoramaSpec, RobotSpec
from vpr_ros.training.errors import TrainingError

CONFIGS = Path(__file__).resolve().parents[2] / "config" / "training"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_shipped_config_reads(path):
    assert read_config(path).data.train


def test_there_are_shipped_configs():
    assert len(list(CONFIGS.glob("*.yaml"))) >= 4


def test_shipped_weights_learn_from_open_images_and_the_simulator_alone():
    config = read_config(CONFIGS / "mixvpr-lite.yaml")

    for spec in (*config.data.train, *config.data.validation):
        is_simulated = isinstance(spec, RobotSpec) and all(uri.startswith("sim:") for uri in spec.sources)
        assert is_simulated or spec.only_open
    assert {getattr(spec, "split", "train") for spec in config.data.train} == {"train"}
    assert {getattr(spec, "split", "val") for spec in config.data.validation} == {"val"}
    learned, judged = (
        {uri.partition("?")[0] for spec in sets if isinstance(spec, RobotSpec) for uri in spec.sources}
        for sets in (config.data.train, config.data.validation)
    )
    assert not learned & judged


def test_a_config_only_overrides():
    config = config_of_values(small_values(loss={"base": 0.5}), "here")

    assert config.loss.base == 0.5
    assert (config.loss.kind, config.loss.alpha, config.loss.beta, config.loss.epsilon) == (
        *("multi_similarity", 1.0, 50.0),
        0.1,
    )


def test_the_default_loss_has_the_published_settings():
    loss = config_of_values(small_values(), "here").loss

    assert (loss.alpha, loss.beta, loss.base, loss.epsilon) == (1, 50, 0.0, 0.1)


def test_numbers_may_be_written_as_people_do():
    values = yaml.safe_load("{learning_rate: 1e-3, weight_decay: 0}")

    optimizer = config_of_values(small_values(optimizer=values), "here").optimizer

    assert (optimizer.learning_rate, optimizer.weight_decay) == (0.001, 0.0)


def test_a_data_set_may_set_its_own_looks():
    around = {"kind": "panoramas", "fov_deg": [60, 90], "views": {"night": 0.5}}

    spec = config_of_values(small_values(data={"train": [around]}), "here").data.train[0]

    assert isinstance(spec, PanoramaSpec)
    assert (spec.fov_deg, spec.views.night, spec.views.sun) == ((60, 90), 0.5, 0.22)


def test_looks_of_a_data_set_override_those_usual_for_its_kind():
    photos = {"kind": "photos", "path": "x", "views": {"night": 0.5}}

    views = config_of_values(small_values(data={"train": [photos]}), "here").data.train[0].views

    assert views == replace(STRONG, night=0.5)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_config_written_out_reads_as_the_same(path):
    config = read_config(path)

    assert config_of_values(yaml.safe_load(yaml.safe_dump(config_values(config))), "here") == config


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"los": {}}, "unknown los; there are name, network"),
        ({"loss": {"bas": 0}}, r"unknown loss\.bas; there are kind, alpha, .*on_joined$"),
        (
            {"network": {"heads": [{"kind": "gem", "q": 1}]}},
            r"unknown network\.heads\.q; there are kind, map, .*columns$",
        ),
        (
            {"data": {"train": [{"kind": "photos", "path": "x", "views": {"nite": 1}}]}},
            r"data\.train\[0\]: unknown views\.nite; there are crop, .*night",
        ),
        ({"loss": {"kind": "ms"}}, r"loss\.kind is 'ms', expected one of multi_similarity, contrastive, .*arcface$"),
        ({"loss": {"mining": "batch_hard"}}, r"loss\.mining is 'batch_hard', expected one of all, hard, semihard$"),
        ({"optimizer": {"kind": "adam"}}, r"optimizer\.kind is 'adam', expected one of adamw, sgd$"),
        ({"schedule": {"kind": "linear"}}, r"schedule\.kind is 'linear', expected one of constant, cosine, steps$"),
        ({"precision": "half"}, "precision is 'half', expected one of fp32, bf16, fp16$"),
        (
            {"network": {"backbone": "resnet101"}},
            r"network\.backbone is 'resnet101', expected one of .*resnet50, vgg16$",
        ),
        (
            {"network": {"heads": [{"kind": "gem"}, {"kind": "spoc"}]}},
            r"network\.heads\.kind is 'spoc', expected one of mixvpr, netvlad, gem, average, grid$",
        ),
        ({"network": {"heads": {"kind": "gem"}}}, r"network\.heads is \{'kind': 'gem'\}, expected a list in brackets"),
        ({"network": 5}, "network is 5, expected a group of settings"),
        *[
            ({"loss": {name: -0.5}}, rf"loss\.{name} is -0\.5, expected at least 0")
            for name in ("epsilon", "positive_margin", "negative_margin", "margin", "second_margin")
        ],
        ({"loss": {"scale": 0}}, r"loss\.scale is 0\.0, expected above 0"),
        ({"loss": {"margin": "wide"}}, r"loss\.margin is 'wide', expected a finite number, or nothing"),
        ({"epochs": True}, "epochs is 'true', expected a whole number"),
        ({"epochs": 1.5}, r"epochs is 1\.5, expected a whole number"),
        ({"schedule": {"milestones": [1, True]}}, r"milestones is \[1, 'true'\], expected a list .* a whole number"),
        *[
            ({"optimizer": {"learning_rate": rate}}, r"learning_rate is '\w+', expected a finite number")
            for rate in (float("inf"), float("nan"), "inf", True)
        ],
        (
            {"data": {"train": [{"kind": "panoramas", "fov_deg": [60, 70, 80]}]}},
            r"fov_deg is \[60\.0, 70\.0, 80\], expected a list of 2 in brackets",
        ),
        ({"tensorboard": 1}, "tensorboard is 1, expected true or false"),
        ({"licence": 3}, "licence is 3, expected text in quotes"),
        ({"loss": {"beta": 0}}, r"loss\.beta is 0"),
        ({"sampling": {"views": 1}}, "no positives"),
        ({"sampling": {"places": 1}}, "no negatives"),
        ({"optimizer": {"learning_rate": "fast"}}, "learning_rate"),
        *[
            ({name: -1}, f"{name} is -1, expected at least 0")
            for name in ("epochs", "seed", "workers", "threads", "patience")
        ],
        *[({"schedule": {name: -1}}, rf"schedule\.{name} is -1") for name in ("factor", "final_factor")],
        *[({name: number}, f"{name} is {number}, ") for name, number in (("seed", 2**70), ("threads", 2**40))],
        *[({"name": name}, "name is .*, expected a file name") for name in ("x" * 300, "a\0b", "a\nb", " ")],
        *[
            ({"data": {"train": [{"kind": "panoramas", name: number}]}}, f"{name} (is )?{number}, expected")
            for name, number in (("jitter_deg", -1), ("pitch_deg", -1), ("roll_deg", -1), ("height", -5))
        ],
        ({"data": {"train": [{"kind": "panoramas", "width": 0}]}}, "width is 0 and height 300, expected"),
        *[
            ({"optimizer": {name: -1}}, rf"optimizer\.{name} is -1")
            for name in ("backbone_factor", "proxy_factor", "weight_decay", "clip_norm", "momentum")
        ],
        *[
            ({"data": {part: [{"kind": kind, "share": share} | given]}}, rf"data\.{part}\[0\]\.share is {share}")
            for part, kind, share, given in (
                ("train", "photos", 0, {"path": "x"}),
                ("train", "manifest", -1, {}),
                ("validation", "robot", -0.5, {"sources": []}),
            )
        ],
        ({"average_decay": 1.0}, "average_decay"),
        ({"freeze_through": ""}, "freeze_through"),
        ({"data": {"train": []}}, "at least one data set"),
        ({"data": {"train": [{"kind": ["photos"]}]}}, r"data\.train\[0\] is of kind .*, expected one of manifest"),
        ({"data": {"train": [{"kind": "photo"}]}}, r"data\.train\[0\] is of kind 'photo', expected one of manifest"),
        ({"data": {"train": [{"kind": "photos", "pth": "x"}]}}, "pth"),
        ({"data": {"train": {"kind": "photos"}}}, "expected a list"),
        *[
            (
                {"data": {"train": [{"kind": "photos", "path": "x", "part": part}]}},
                "part is .*, expected two rising shares",
            )
            for part in ([0.5], [0.9, 0.1], [-1, 1], [0, 2])
        ],
        ({"name": "a/b"}, "file name"),
        ({"loss": {"kind": "cosface", "on_heads": [0.5]}}, "proxies"),
        (
            {"loss": {"on_heads": [0.5, 0.5]}},
            r"loss\.on_heads is \(0\.5, 0\.5\), expected a number for each of 1 heads",
        ),
        ({"loss": {"on_heads": [-1]}}, "at least 0"),
        ({"loss": {"on_heads": 0.5}}, r"on_heads is 0\.5, expected a list in brackets, each a finite number"),
        ({"loss": {"on_joined": -1}}, r"loss\.on_joined is -1"),
        ({"teaching": {"weight": 0}}, r"teaching\.weight is 0"),
        ({"teaching": {"teachers": "one.pt"}}, r"teachers is 'one\.pt', expected a list in brackets"),
        ({"fitting": {"axes_first": True}}, "projection is 'none'"),
        ({"fitting": {"centered": True}}, "fitting.centered is set, but fitting.beside joins nothing"),
        ({"fitting": {"moved_columns": [-1]}}, "fitting.moved_columns is set, but fitting.beside joins nothing"),
        ({"start_share": 1.5}, r"start_share is 1\.5, expected 0 to 1"),
        ({"start_share_after": "blocks.10"}, "start_share is 0, expected above 0: start_share_after says"),
        (
            {"network": {"projection": {"kind": "linear"}}, "fitting": {"beside": [1, 2]}},
            "a number for each of 1 heads",
        ),
    ],
)
def test_what_does_not_fit_is_named(over, words):
    with pytest.raises(VprError, match=words) as told:
        config_of_values(small_values(**over), "here")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["- a list", "name: [", "\x00"])
def test_a_file_that_is_no_config_is_told(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)

    with pytest.raises(TrainingError, match=r"c\.yaml") as told:
        read_config(tmp_path / "c.yaml")
    assert "\n" not in str(told.value)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    values = yaml.safe_dump(small_values())
    (tmp_path / "c.yaml").write_text(f"{values}loss: {{base: 0.5}}\nloss: {{base: 0.2}}\n")

    with pytest.raises(TrainingError, match=r"'loss' stands here twice .*line \d+"):
        read_config(tmp_path / "c.yaml")
