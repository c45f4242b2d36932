"""The Clerk stand-in's default port and file."""

PORT = 3004
DATA_FILE = "clerk.json"
