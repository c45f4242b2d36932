"""Measuring the service beside its peers, in the same run on the same servers: `make bench`. Nothing is asserted."""
