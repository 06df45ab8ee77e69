"""What the clusters share: processes that are numbered, and waiting with a deadline."""

import signal
import subprocess
import time

DEADLINE = 30.0


def wait_for(what, condition):
    """Asks until `condition` answers something that is not None, and gives that; fails after 30 s."""
    end = time.monotonic() + DEADLINE
    while True:
        found = condition()
        if found is not None:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {DEADLINE:.0f} s for {what}")
        time.sleep(0.02)


class Processes:
    """Instances of a cluster: one process each, at one host."""

    first_port = 0
    kill_signal = signal.SIGKILL

    def __init__(self, directory, host, count):
        self.directory = directory
        self.host = host
        self.count = count
        self.processes = [None] * count

    def port(self, index):
        return self.first_port + index

    def address(self, index):
        return f"{self.host}:{self.port(index)}"

    def addresses(self):
        return [self.address(index) for index in range(self.count)]

    def running(self, index):
        process = self.processes[index]
        if process is None:
            raise RuntimeError(f"instance {index} does not run")
        return process

    def kill(self, index):
        self.end_process(index)

    def end_process(self, index):
        process = self.running(index)
        process.send_signal(self.kill_signal)
        process.send_signal(signal.SIGCONT)
        process.wait(DEADLINE)
        self.processes[index] = None

    def freeze(self, index):
        self.running(index).send_signal(signal.SIGSTOP)

    def thaw(self, index):
        self.running(index).send_signal(signal.SIGCONT)

    def end(self):
        for index, process in enumerate(self.processes):
            if process is None:
                continue
            try:
                self.end_process(index)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
