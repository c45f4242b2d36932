"""Where the Clerk stand-in is, and what it keeps."""

PORT = 3004
DATA_FILE = "clerk.json"
