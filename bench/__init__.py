"""Measuring the service beside its peers, in the same run on the same servers: `make bench`. Nothing is asserted."""

import sys
from pathlib import Path

# `support.proxies` starts proxies for the tests and here.
sys.path.append(str(Path(__file__).parent.parent / "tests"))
