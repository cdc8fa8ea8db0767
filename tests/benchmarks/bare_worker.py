"""Where the ceiling's steps are done: `FD FOLDER FORK`. With FORK a fresh child does each one, writes its outcome to a
file of its own and fsyncs it and the folder, as a one-shot worker does; without, this process answers."""

import os
import socket
import sys


def main(handle: int, folder: str, *, fork: bool) -> None:
    """Work until the other end of the socket is closed."""
    agent = socket.socket(fileno=handle)
    children = 0
    while number := agent.recv(64):
        while children and os.waitpid(-1, os.WNOHANG)[0]:
            children -= 1
        if not fork:
            agent.send(number)
            continue
        children += 1
        if os.fork() == 0:
            outcome = os.open(f"{folder}/outcome-{number.decode()}", os.O_CREAT | os.O_WRONLY, 0o600)
            os.write(outcome, b"o" * 600)
            os.fsync(outcome)
            directory = os.open(folder, os.O_RDONLY)
            os.fsync(directory)
            agent.send(number)
            os._exit(0)
    for _ in range(children):
        os.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], fork=sys.argv[3] == "True")
