"""The program: signals are handled before the imports, in which one would become a traceback."""

from entrypoints.cli import interruption

interruption.end_at_once()

from entrypoints.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
