# The service, without compilers, tests or the development servers: `docker build -t auth-service .`
FROM python:3.13-slim AS build
WORKDIR /app
RUN python -m venv /opt/venv
COPY requirements-bootstrap.lock requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-bootstrap.lock \
    && uv pip install --python /opt/venv --no-cache --compile-bytecode --require-hashes -r requirements.lock
COPY sdk/src/anomalyze_auth /opt/app/anomalyze_auth
COPY src /opt/app
RUN rm -rf /opt/app/entrypoints/embedded \
    && printf '/opt/app\n' > "$(/opt/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/app.pth" \
    && printf '#!/opt/venv/bin/python\nfrom entrypoints.cli.main import main\nmain()\n' > /opt/venv/bin/auth-service \
    && chmod 0755 /opt/venv/bin/auth-service \
    && /opt/venv/bin/python -m compileall -q /opt/app

FROM python:3.13-slim
LABEL org.opencontainers.image.title="auth-service" \
      org.opencontainers.image.description="Users true to Clerk, events on Kafka, and who is calling."
RUN useradd --system --uid 10001 --no-create-home auth
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/app /opt/app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0
USER auth
WORKDIR /tmp
EXPOSE 3002
# Without curl: the image has none.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 3002)}/health/live', timeout=2)"]
ENTRYPOINT ["auth-service"]
CMD ["serve"]
