"""Where the ceiling's steps are done: `FD FOLDER FORK`. With FORK a fresh child does each one, writes its outcome to a
file of its own and fsyncs it and the folder, as a one-shot worker does; without, this process answers."""

import os
import signal
import socket
import sys


def main(handle: int, folder: str, *, fork: bool) -> None:
    """Work until ended."""
    agent = socket.socket(fileno=handle)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while number := agent.recv(64):
        if not fork:
            agent.send(number)
        elif os.fork() == 0:
            outcome = os.open(f"{folder}/outcome-{number.decode()}", os.O_CREAT | os.O_WRONLY, 0o600)
            os.write(outcome, b"o" * 600)
            os.fsync(outcome)
            directory = os.open(folder, os.O_RDONLY)
            os.fsync(directory)
            agent.send(number)
            os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], fork=sys.argv[3] == "True")
