"""Put the tasks of examples/ into the wheel as pipeline/examples, which pyproject.toml alone cannot say."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lrrt*", "studies*", "pipeline*"]), "pipeline.examples"],
    package_dir={"pipeline.examples": "examples"},
)
