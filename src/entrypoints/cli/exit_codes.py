"""Exit statuses of the commands: 64 to 78 as BSD's sysexits.h names them, 128 and a signal's number as shells do."""

EX_NOT_DONE = 1  # not all of it is done, or not all is as it should be; the command printed what
EX_USAGE = 2  # the command line cannot be understood, as most programs have it; nothing was done
EX_DATAERR = 65  # the data are refused: not storable in PostgreSQL, or a deletion that a safety stop prevented
EX_NOUSER = 67  # there is no such user, or not any more
EX_UNAVAILABLE = 69  # something that the command needs is out of reach
EX_IOERR = 74  # the output, or a file that was named, cannot be written or read
EX_TEMPFAIL = 75  # stopped before the end; running it again goes on
EX_NOPERM = 77  # Clerk refuses
EX_CONFIG = 78  # a variable is missing or wrong
EX_INTERRUPTED = 130  # 128 + SIGINT
EX_PIPE = 141  # 128 + SIGPIPE
