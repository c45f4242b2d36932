"""Hide from the service's processes what only the tests install.

dependency-injector imports each of these where it can. The release has none of them, and they are a third of the time
that a command takes to start.
"""

import sys

for name in ("fastapi", "flask", "quart", "starlette", "werkzeug"):
    sys.modules[name] = None  # type: ignore[assignment]  # an import then fails as if it were not there
