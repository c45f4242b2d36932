"""What the service does: one module for each use case, on ports that adapters implement."""
