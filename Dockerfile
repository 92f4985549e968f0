# The exporter alone: it reads swarm APIs and exports; it starts no node and needs no Docker socket.
#   docker build -t swarm-exporter . && docker run --rm -p 127.0.0.1:10331:10331 swarm-exporter
FROM python:3.13.7-slim-bookworm AS build
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.8.22
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY exporter exporter
COPY grafana/dashboards grafana/dashboards
COPY grafana/dashboards-zh grafana/dashboards-zh
COPY grafana/provisioning grafana/provisioning
COPY prometheus prometheus
COPY docs/runbooks docs/runbooks
# What uv.lock names, hashes checked, and nothing of the build.
RUN UV_PROJECT_ENVIRONMENT=/opt/swarm-exporter \
    uv sync --locked --no-dev --extra chain --no-editable --no-cache --compile-bytecode

FROM python:3.13.7-slim-bookworm
COPY --from=build /opt/swarm-exporter /opt/swarm-exporter
# Owned by the user, so that a volume put here belongs to it.
RUN install -d -o 65532 -g 65532 -m 0700 /state
USER 65532:65532
ENV PATH=/opt/swarm-exporter/bin:$PATH PYTHONUNBUFFERED=1 SWARM_STATE_DIR=/state
VOLUME /state
EXPOSE 10331
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:10331/-/healthy', timeout=3)"]
ENTRYPOINT ["swarm-exporter"]
CMD ["serve", "--listen", "0.0.0.0:10331"]
