"""What docs/encoders.md tells users to copy works as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from vpr_ros.core import Recipe
from vpr_ros.encoders import open_encoder

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "encoders.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


RECIPES = {values["recipe"]["name"]: values["recipe"] for values in map(yaml.safe_load, blocks("yaml"))}
# Of their papers and code.
LENGTHS = {
    "megaloc": 8448,
    "salad": 8448,
    "boq-resnet50": 16384,
    "boq-dinov2": 12288,
    "anyloc-indoor": 32 * 1536,
    "cricavpr": 14 * 768,
    "transvpr-msls": 256,
}


@pytest.mark.parametrize("name", LENGTHS)
def test_each_recipe_of_the_page_is_one_that_an_encoder_can_have(name):
    recipe = Recipe.from_values({"weights_sha256": "0" * 64} | RECIPES[name])

    assert recipe.dim == LENGTHS[name]
    if name not in ("boq-resnet50", "transvpr-msls"):  # the vision transformers see patches of 14 pixels
        assert recipe.height % 14 == recipe.width % 14 == 0


@pytest.fixture
def page():
    """The names that the page's Python defines, but for what needs the authors' code."""
    torch = pytest.importorskip("torch")
    names = {"torch": torch}
    for block in blocks("python"):
        runnable = re.sub(r"^(export\(|from (blocks|feature_extractor)).*$", "", block, flags=re.MULTILINE)
        exec(compile(runnable, "docs/encoders.md", "exec"), names)
    return names


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
def test_the_pages_export_makes_an_encoder_of_a_network_that_returns_more_than_its_descriptor(
    page, tmp_path, office, suffix
):
    pytest.importorskip("onnx")
    torch = page["torch"]

    class ReturnsAttentions(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 8, 3)

        def forward(self, image):
            positions = self.convolution(image)
            return positions.mean(dim=(2, 3)), [positions]

    network, path = ReturnsAttentions(), tmp_path / f"mine{suffix}"
    page["export"](network, path, 28, 42)
    recipe = RECIPES["megaloc"] | {"height": 28, "width": 42, "dim": 8}
    path.with_suffix(".yaml").write_text(yaml.safe_dump({"recipe": recipe}))

    encoder = open_encoder(str(path))

    assert np.linalg.norm(encoder.encode(office[0]).descriptor) == pytest.approx(1, abs=1e-5)


def test_anylocs_sum_without_a_loop_is_the_one_with_it(page):
    """Hard assignment to the nearest word by cosine, residuals of unit vectors, intra-normalised: word by word."""
    torch = page["torch"]
    generator = torch.Generator().manual_seed(0)
    tokens, centres = torch.randn(1, 30, 6, generator=generator), 0.5 * torch.randn(5, 6, generator=generator)

    class Hub:
        class dino_extractor:  # noqa: N801 - an attribute of theirs
            dino_model = torch.nn.Identity()

            def __new__(cls, image):
                return tokens

        vlad = type("Vlad", (), {"c_centers": centres})

    x = (tokens[0] / tokens[0].norm(dim=1, keepdim=True)).double().numpy()
    words = centres.double().numpy()
    nearest = (x @ (words / np.linalg.norm(words, axis=1, keepdims=True)).T).argmax(axis=1)
    expected = np.zeros_like(words)
    for word in set(nearest):
        residual = sum(x[i] - words[word] for i in np.flatnonzero(nearest == word))
        expected[word] = residual / np.linalg.norm(residual)

    ours = page["AnyLoc"](Hub)(None)

    np.testing.assert_allclose(ours[0].numpy(), expected.ravel(), atol=1e-5)
