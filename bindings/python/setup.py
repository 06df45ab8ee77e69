"""Gives the wheel its tag: no part is made for one Python, and the library inside for one platform.

tools/wheel.sh says in QUORATE_PLATFORM for which.
"""

import os

from setuptools import setup
from setuptools.dist import Distribution
from wheel.bdist_wheel import bdist_wheel


class Wheel(bdist_wheel):
    def get_tag(self):
        platform = os.environ.get("QUORATE_PLATFORM")
        return ("py3", "none", platform) if platform else super().get_tag()


class WithLibrary(Distribution):
    def has_ext_modules(self):
        # Without the library, as for an editable installation, the package is like any other.
        return "QUORATE_PLATFORM" in os.environ


setup(cmdclass={"bdist_wheel": Wheel}, distclass=WithLibrary)
