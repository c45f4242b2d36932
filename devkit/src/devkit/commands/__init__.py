"""The commands of a developer's machine; `auth-service` finds this table through an entry point."""

COMMANDS = {
    "dev": ("devkit.commands.dev:dev", "Run everything on this machine, until Ctrl-C."),
    "demo": ("devkit.commands.demo:demo", "Play a user's life through the real parts and check it."),
    "trigger": ("devkit.commands.trigger:trigger", "Sign and send a webhook, as Clerk would."),
    "token": ("devkit.commands.token:token", "Mint a session token for local work."),
    "dev-keys": ("devkit.commands.dev_keys:dev_keys", "Make up keys where there is no Clerk; never in production."),
    "clerk-stand-in": (
        "devkit.commands.clerk_stand_in:clerk_stand_in",
        "Serve a stand-in for Clerk, with a console; for development and tests.",
    ),
    "conformance": (
        "devkit.commands.conformance:app",
        "Find out whether another program verifies tokens and consumes events as it must.",
    ),
}
