"""Runs one server and stops it when its starter requests it, ends, or is killed.

Run as a script by `devkit.servers.server`, with the standard library alone:

- standard input is a pipe that only the starter holds: a byte or its end means "stop the server".
  The kernel closes it even after SIGKILL, on Linux and macOS alike;
- standard output gets one line, the pid of the server;
- standard error is the server's log.

Should the guard itself be killed, Linux stops the server in its place (`PR_SET_PDEATHSIG`; the guard has
one thread, the one that this signal is tied to). macOS has nothing like it: there a server outlives a
guard that was killed with SIGKILL, and the next start on the same folder says that one is running.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence

# linux/prctl.h, linux/securebits.h and linux/capability.h
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 4
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1

_ORPHAN_CHECK_SECONDS = 1.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lock-fd", type=int, required=True, help="inherited by the server, so held while it runs")
    parser.add_argument("--uid", type=int, help="run the server as this user; the guard is then root")
    parser.add_argument("--stop", action="append", required=True, help="SIGNAL:SECONDS, tried in this order")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    steps = [(signal.Signals[name], float(seconds)) for name, seconds in (s.split(":") for s in args.stop)]

    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _only_wake)
    starter = os.getppid()

    server = subprocess.Popen(  # noqa: S603 - the command is this package's own
        args.command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=[args.lock_fd],
        preexec_fn=lambda: _become_the_server(args.uid, steps[0][0]),  # noqa: PLW1509 - one thread here
    )
    with contextlib.suppress(BrokenPipeError):  # the starter is gone already: its pipe says so below
        print(server.pid, flush=True)

    signals = bytearray()
    while server.poll() is None:
        readable, _, _ = select.select([0, woken], [], [], _ORPHAN_CHECK_SECONDS)
        if woken in readable:
            signals += os.read(woken, 64)
        # A forked child of the starter may hold a copy of the pipe: the new parent tells the same news.
        if 0 in readable or os.getppid() != starter or any(n != signal.SIGCHLD for n in signals):
            os.pwrite(args.lock_fd, b"stopping\n", 0)
            _stop(server, steps)
    os.pwrite(args.lock_fd, b"stopping\n", 0)  # children of a server that died may need another moment
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _only_wake(_number: int, _frame: object) -> None:
    """Lets `select` return; the wakeup pipe carries the signal's number."""


def _stop(server: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    for number, seconds in steps:
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(seconds)
            return
    server.kill()
    server.wait()


def _become_the_server(uid: int | None, death_signal: signal.Signals) -> None:
    """Between fork and exec: drop root when asked to, and follow the guard into death (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    linux = sys.platform == "linux"
    if uid is not None:
        if linux:
            _prctl(libc, _PR_SET_KEEPCAPS, 1)
            # access(2), with which initdb looks for its programs, would otherwise count no capability of a user who is
            # not root.
            _prctl(libc, _PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
        os.setgroups([])
        os.setgid(uid)  # any group but root's will do
        os.setuid(uid)
        if linux:
            _keep_root_file_access(libc)
    if linux:
        # After setuid, which clears it.
        _prctl(libc, _PR_SET_PDEATHSIG, death_signal)


def _keep_root_file_access(libc: ctypes.CDLL) -> None:
    """Let the unprivileged server use files and folders that only root may, such as a checkout below /root.

    PostgreSQL refuses uid 0, not root's right to open files (`capabilities(7)`, ambient set): this way no
    folder has to be opened to every user of the machine.
    """
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if libc.capset(header, sets) == 0:
        _prctl(libc, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def _prctl(libc: ctypes.CDLL, option: int, *values: int) -> None:
    # Variadic and read as unsigned long: a plain int would leave the upper half undefined.
    libc.prctl(option, *(ctypes.c_ulong(v) for v in (*values, 0, 0, 0, 0)[:4]))


if __name__ == "__main__":
    sys.exit(main())
