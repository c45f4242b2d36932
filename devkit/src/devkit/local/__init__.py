"""The service on one machine, as `dev` and `demo` run it: its processes, and the keys and settings they share."""
