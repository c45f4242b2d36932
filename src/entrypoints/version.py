"""The version of this service: the one home; the package takes it from here (pyproject.toml)."""

VERSION = "0.1.0"
