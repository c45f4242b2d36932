"""The commands of a developer's machine; `auth-service` finds this table through an entry point."""

COMMANDS = {
    "dev": ("devkit.commands.dev:dev", "Run everything on this machine, until Ctrl-C."),
    "demo": ("devkit.commands.demo:demo", "Play a user's life on real servers and check every step."),
    "trigger": ("devkit.commands.trigger:trigger", "Sign and send a webhook, as Clerk would."),
    "token": ("devkit.commands.token:token", "Create a session token for local work."),
    "dev-keys": ("devkit.commands.dev_keys:dev_keys", "Generate keys for use without Clerk; never in production."),
    "clerk-stand-in": (
        "devkit.commands.clerk_stand_in:clerk_stand_in",
        "Serve a stand-in for Clerk, with a console; for development and tests.",
    ),
    "conformance": (
        "devkit.commands.conformance:app",
        "Test whether a program verifies tokens and consumes events correctly.",
    ),
}
