"""Refuses to make a wheel: modules named `data` or `model`, apart from their data, help nobody."""

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel


class NoWheel(bdist_wheel):
    def run(self):
        raise SystemExit(
            "This project works from its own folder, where its data and models are. Install it "
            "with `pip install -e .` (editable), or `pip install -r requirements.txt`."
        )


setup(cmdclass={"bdist_wheel": NoWheel})
