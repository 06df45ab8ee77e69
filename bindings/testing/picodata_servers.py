"""PostgreSQL servers that look like the instances of one Picodata cluster (tests/common/pico_on_postgres.sql)."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from processes import Processes, wait_for

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "tests/common/pico_on_postgres.sql"
SETTINGS = """listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
fsync = off
max_connections = 50
shared_buffers = 16MB
timezone = 'UTC'
"""


class PicodataServers(Processes):
    """Each server is a replicaset of its own and knows all others. Rows of other tables are each server's own."""

    first_port = 5432
    # An immediate shutdown: the postmaster takes its children with it, as after a crash.
    kill_signal = signal.SIGQUIT
    # Whether the servers have their tables.
    started = False

    def start(self):
        first = self.directory / "0"
        first.mkdir()
        self.give_away(first)
        self.run("initdb", "--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "--username=postgres", "-D", first)
        for index in range(1, self.count):
            shutil.copytree(first, self.directory / str(index))
        for index in range(self.count):
            data = self.directory / str(index)
            settings = SETTINGS.format(host=self.host, port=self.port(index))
            (data / "postgresql.auto.conf").write_text(settings)
            self.give_away(data)
            data.chmod(0o700)
        for index in range(self.count):
            self.restart(index)
            self.psql(index, SCHEMA.read_text())
        self.started = True
        self.write()

    def url(self):
        # PostgreSQL refuses the parameters of the start-up message that Picodata's own scheme sends.
        return f"postgres://postgres@{','.join(self.addresses())}/postgres"

    def leader(self):
        return next(index for index, process in enumerate(self.processes) if process is not None)

    def kill(self, index):
        """Ends a server; the others tell it as offline from now on."""
        self.end_process(index)
        self.write()

    def restart(self, index):
        if self.processes[index] is not None:
            raise RuntimeError(f"server {index} runs already")
        data = self.directory / str(index)
        with open(self.directory / f"{index}.log", "ab") as log:
            self.processes[index] = subprocess.Popen(
                self.command("postgres", "-D", data), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )

        def ready():
            if self.processes[index].poll() is not None:
                raise RuntimeError(f"server {index} ended: {(self.directory / f'{index}.log').read_text()}")
            try:
                lines = (data / "postmaster.pid").read_text().splitlines()
            except FileNotFoundError:
                return None
            # The eighth line says what the server is doing (src/include/utils/pidfile.h of PostgreSQL).
            return True if len(lines) > 7 and lines[7].strip() == "ready" else None

        wait_for(f"server {index}", ready)
        if self.started:
            self.write()

    def write(self):
        """Tells every running server what the cluster is now."""
        leader = self.leader()
        instances, addresses, replicasets = [], [], []
        for index, process in enumerate(self.processes):
            number = index + 1
            state = '["Online",1]' if process is not None else '["Offline",1]'
            name, uuid, place = f"default_{number}_1", self.uuid(1, number), (f"default_{number}", self.uuid(2, number))
            instances.append((name, uuid, number, *place, state, state, "{}", "default", "25.5.7-0"))
            addresses.append((number, f"{self.host}:{3301 + index}", "iproto"))
            addresses.append((number, self.address(index), "pgproto"))
            replicasets.append((*place, name, name, "default", 1, "auto", "ready"))
        for index, process in enumerate(self.processes):
            if process is None:
                continue
            tables = {
                "_pico_instance": instances,
                "_pico_peer_address": addresses,
                "_pico_replicaset": replicasets,
                "_pico_tier": [("default", 1, "true", 3000)],
                "pico_standing": [(self.uuid(1, index + 1), leader + 1, self.uuid(1, leader + 1))],
            }
            statements = "".join(self.replace(table, rows) for table, rows in tables.items())
            self.psql(index, f"BEGIN;\n{statements}COMMIT;\n")

    @staticmethod
    def replace(table, rows):
        values = ", ".join("(" + ", ".join(f"'{value}'" for value in row) + ")" for row in rows)
        return f"DELETE FROM {table};\nINSERT INTO {table} VALUES {values};\n"

    @staticmethod
    def uuid(kind, number):
        return f"{kind:08x}-0000-4000-8000-{number:012x}"

    def psql(self, index, sql):
        arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.host, "-p", self.port(index)]
        self.run("psql", *arguments, "-U", "postgres", "-d", "postgres", "-f", "-", text=sql)

    def run(self, program, *arguments, text=""):
        done = subprocess.run(self.command(program, *arguments), input=text, text=True, capture_output=True, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr}")

    def command(self, program, *arguments):
        """PostgreSQL's programs refuse to run as root."""
        command = ["setpriv", "--pdeathsig", "QUIT"]
        if os.geteuid() == 0:
            command += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return [*command, "--", self.programs() / program, *map(str, arguments)]

    @staticmethod
    def programs():
        """Where the programs of the newest PostgreSQL are."""
        found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
        if not found:
            raise RuntimeError("PostgreSQL is missing: install Debian's package postgresql")
        return max(found, key=lambda path: int(path.parent.name))

    def give_away(self, path):
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "postgres:postgres", path], check=True)
