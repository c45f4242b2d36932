"""Where an `auth-service` that a test starts finds its code."""

import os
import sys
from pathlib import Path

PYTHON_PATH = os.pathsep.join([str(Path(__file__).with_name("as_released")), *sys.path])
"""For PYTHONPATH. What is only installed for the tests is hidden, as it is not there in production."""
