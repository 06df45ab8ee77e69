"""Lists the nodes of a dqlite cluster, and copies a database to where SQLite opens it.

    python3 examples/python/cluster_dqlite.py dqlite://127.0.0.1:9001/app
"""

import sqlite3
import sys
import tempfile
from pathlib import Path

import quorate

url = sys.argv[1]
name = url.rpartition("/")[2]

with quorate.connect(url) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS fruit (name PRIMARY KEY, n)")

with quorate.Cluster(url) as cluster, tempfile.TemporaryDirectory() as directory:
    for node in sorted(cluster.nodes()):
        print(node.id, node.role)

    for file, data in cluster.dump(name).items():
        (Path(directory) / file).write_bytes(data)
    copy = sqlite3.connect(Path(directory) / name)
    print(copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall())
    copy.close()
