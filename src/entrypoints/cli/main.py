"""`auth-service`: one module a command, imported when it runs, so that `--help` is quick."""

import sys
from collections.abc import Sequence

from cyclopts import App

from entrypoints.configuration import EX_CONFIG, ConfigurationError

app = App(name="auth-service", help="The platform's users, true to Clerk, and who is calling.")
app.command("entrypoints.cli.serve:serve", name="serve", help="Serve webhooks, /v1/me and forward auth over HTTP.")
app.command("entrypoints.cli.relay:relay", name="relay", help="Carry stored events to Kafka, in order for each user.")
app.command("entrypoints.cli.migrate:migrate", name="migrate", help="Bring the database to this version's schema.")
app.command("entrypoints.cli.dev:dev", name="dev", help="Run everything on this machine, until Ctrl-C.")
app.command("entrypoints.cli.demo:demo", name="demo", help="Play a user's life through the real parts and check it.")
app.command("entrypoints.cli.trigger:trigger", name="trigger", help="Sign and send a webhook, as Clerk would.")
app.command("entrypoints.cli.token:token", name="token", help="Mint a session token for local work.")
app.command("entrypoints.cli.events:app", name="events", help="Look at the events in Kafka.")
app.command("entrypoints.cli.documents:openapi", name="openapi", help="Print the OpenAPI document of the HTTP API.")
app.command("entrypoints.cli.documents:asyncapi", name="asyncapi", help="Print the AsyncAPI document of the events.")


def main(arguments: Sequence[str] | None = None) -> None:
    try:
        app(arguments)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # logging is configured by what could not be read
        sys.exit(EX_CONFIG)


if __name__ == "__main__":
    main()
