# One image for every service; the command chooses which: `node`, `gateway`, …
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /source
COPY requirements-build.lock requirements-runtime.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-build.lock \
 && python -m venv --without-pip /opt/inventory \
 && pip --python /opt/inventory/bin/python install --no-cache-dir --require-hashes \
      -r requirements-runtime.lock
COPY pyproject.toml README.md ./
COPY libs libs
COPY clients clients
COPY services services
COPY docs/runbooks docs/runbooks
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
 && pip --python /opt/inventory/bin/python install --no-cache-dir --no-deps /wheel/*.whl

FROM ${BASE}
ARG BASE
ARG REVISION=unknown
# What the base has for installing is not needed to run, wherever it keeps it.
RUN find / -xdev -depth \( -path '*-packages/pip*' -o -path '*-packages/setuptools*' \
      -o -path '*-packages/pkg_resources*' -o -path '*-packages/wheel*' -o -path '*/ensurepip*' \
      -o -path '*/bin/pip*' \) -delete
LABEL org.opencontainers.image.title="inventory" \
      org.opencontainers.image.description="Stock and orders that are never lost, never doubled and never oversold" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /opt/inventory /opt/inventory
ENV PATH=/opt/inventory/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["inventory"]
CMD ["--help"]
