"""Runs SQLAlchemy's suite for dialects against a cluster of dqlite; arguments go to pytest.

A node of its own keeps the data of the suite; three would only take three times as long to write it.
"""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from clusters import ROOT, Cluster  # noqa: E402


def main() -> int:
    cluster = Cluster("dqlite", 1)
    try:
        os.chdir(HERE)
        (ROOT / "target/sqlalchemy-profiles.txt").touch()
        url = cluster.url.replace("dqlite://", "quorate+dqlite://")
        options = ["-c", os.devnull, "--rootdir", str(HERE), "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestWarning"]
        return pytest.main([*options, "--dburi", url, "-q", *sys.argv[1:], "test_suite.py"])
    finally:
        cluster.end()


if __name__ == "__main__":
    sys.exit(main())
