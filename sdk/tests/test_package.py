import subprocess
import sys

FRAMEWORKS = ["litestar", "fastapi", "starlette", "quart", "faststream", "aiokafka", "sqlalchemy", "pydantic", "httpx"]


def test_the_import_brings_no_framework_and_not_even_the_http_client():
    code = f"import sys, anomalyze_auth; print([name for name in {FRAMEWORKS} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert run.stdout.strip() == "[]"
