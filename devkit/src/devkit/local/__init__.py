"""Processes, keys and settings of the service on one machine, shared by `dev` and `demo`."""
