# The service, without compilers, package managers, tests or the devkit: `docker build -t auth-service .`
# Target `dev` has the devkit's commands too (a stand-in for Clerk, keys made up): for docker-compose.yml, never deployed.
#
# A tag, so that each build takes the base's security fixes, and an image of that name built elsewhere will do. A release
# is pinned by its digest: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:…
# Packages come from where pip and uv look by themselves. A mirror is named by their own files, which no layer keeps:
# --secret id=pip,src=pip.conf --secret id=uv,src=uv.toml
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
# For Kafka on Amazon MSK with IAM: --build-arg REQUIREMENTS=requirements-msk.lock, which adds AWS's signer and boto3.
ARG REQUIREMENTS=requirements.lock
COPY requirements-bootstrap.lock ${REQUIREMENTS} ./
# Wheels alone: whatever had to be compiled would differ between architectures. Bytecode: the image is read-only.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=uv,target=/etc/uv/uv.toml \
    pip install --quiet --no-cache-dir --require-hashes --only-binary :all: -r requirements-bootstrap.lock \
    && python -m venv --without-pip /opt/venv \
    && uv pip install --quiet --python /opt/venv --no-cache --only-binary :all: --require-hashes --compile-bytecode \
        -r ${REQUIREMENTS} \
    && find /opt/venv \( -name '*.c' -o -name '*.cpp' -o -name '*.pyx' -o -name '*.h' \) -delete
COPY sdk/src/anomalyze_auth /opt/app/anomalyze_auth
COPY src /opt/app
# A clone made with `umask 077` has files that only its owner may read, and the service runs as another user.
RUN chmod -R a+rX /opt/app \
    && printf '/opt/app\n' > "$(/opt/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/app.pth" \
    && printf '#!/opt/venv/bin/python\nfrom entrypoints.cli.__main__ import main\nmain()\n' > /opt/venv/bin/auth-service \
    && chmod 0755 /opt/venv/bin/auth-service \
    && /opt/venv/bin/python -m compileall -q /opt/app

# Found through its entry point, so it needs the metadata of an installed package.
FROM build AS build-dev
COPY devkit/src/devkit /opt/app/devkit
RUN chmod -R a+rX /opt/app/devkit \
    && info=/opt/app/auth_service_devkit-0.dist-info && mkdir "$info" \
    && printf 'Metadata-Version: 2.1\nName: auth-service-devkit\nVersion: 0\n' > "$info/METADATA" \
    && printf '[auth_service.commands]\ndevkit = devkit.commands:COMMANDS\n[auth_service.settings]\ndevkit = devkit.settings:COMMANDS\n' > "$info/entry_points.txt" \
    && /opt/venv/bin/python -m compileall -q /opt/app/devkit

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.0.0+local
ARG REVISION=unknown
LABEL org.opencontainers.image.title="auth-service" \
      org.opencontainers.image.description="Users equal to Clerk's data, their changes on Kafka, and verification of session tokens." \
      org.opencontainers.image.vendor="Anomalyze" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="python:3.13-slim"
# The folder is empty, and what is mounted there belongs to the service: a `.env`, say.
RUN useradd --uid 10001 --no-create-home --home-dir /srv/auth --shell /usr/sbin/nologin auth \
    && install -d -o auth -g auth /srv/auth
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /srv/auth
EXPOSE 3002
# Without curl (there is none) and without the service's imports: 20 ms. PORT is also where a relay answers with
# --metrics-port "$PORT". Whether the process lives, not whether its database does: some orchestrators kill for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s \
    CMD ["python", "-ISc", "import os,socket; s=socket.create_connection(('127.0.0.1',int(os.environ.get('PORT') or 3002)),2); s.sendall(b'GET /health/live HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n'); assert b' 200 ' in s.recv(64)"]
ENTRYPOINT ["auth-service"]
CMD ["serve"]

FROM runtime AS dev
COPY --from=build-dev /opt/venv /opt/venv
COPY --from=build-dev /opt/app /opt/app

FROM runtime AS release
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/app /opt/app
