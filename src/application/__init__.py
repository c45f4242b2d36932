"""What the service does: one module a use case, on the ports that adapters fill."""
