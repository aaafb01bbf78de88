"""Build vpr_ros as an ament_python package: modules, programs, and the files under share/vpr_ros."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "vpr_ros"


def files(folder, pattern):
    """Return the files of a folder as setuptools takes them."""
    return [str(path) for path in sorted(Path(folder).glob(pattern)) if path.is_file()]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Loop closure and relocalization for robots by visual place recognition",
    license="Apache-2.0",
    maintainer="vpr_ros developers",
    maintainer_email="maintainers@users.noreply.github.com",
    python_requires=">=3.10",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed", "evaluation/templates/*", "sources/*.json"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", files("launch", "*.launch.py")),
        (f"share/{PACKAGE}/config", files("config", "*")),
        (f"share/{PACKAGE}/config/training", files("config/training", "*.yaml")),
        (f"share/{PACKAGE}/weights", files("weights", "*")),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    entry_points={
        "console_scripts": [
            "vpr_ros = vpr_ros.cli.main:main",
            "loop_closure_node = vpr_ros.nodes.loop_closure_node:main",
            "bag_player_node = vpr_ros.nodes.bag_player_node:main",
        ]
    },
)
