"""The program: signals are handled before the imports, in which one would become a traceback."""

import _signal  # type: ignore[import-not-found]  # `signal` imports `enum`: twenty times as long

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from entrypoints.cli import interruption

interruption.end_at_once()

from entrypoints.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
