"""Types answers at a terminal, one after the other, each when the program has been quiet for a moment.

usage: type_answers.py '["answer", …]' PROGRAM WORD…   prints what the terminal showed; ends as the program does
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

QUIET_SECONDS = 0.7
LIMIT_SECONDS = 50
ROWS, COLUMNS = 40, 160


def main() -> int:
    answers = json.loads(sys.argv[1])
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execvp(sys.argv[2], sys.argv[2:])
    deadline = time.monotonic() + LIMIT_SECONDS
    seen_since_answer = False
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], QUIET_SECONDS)
        if ready:
            try:
                shown = os.read(terminal, 65536)
            except OSError:
                break
            if not shown:
                break
            seen_since_answer = True
            sys.stdout.buffer.write(shown)
        elif answers and seen_since_answer:
            seen_since_answer = False
            os.write(terminal, answers.pop(0).encode() + b"\r")
    sys.stdout.flush()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
