# The worker's image: Python, the locked dependencies, penstock, and nothing to build with.
#   docker build -t penstock .
# Own code comes on top (docs/howto/deploy.md): FROM penstock, pip install, COPY.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock ./
# The build backend, from the one lock and with its hashes: an isolated build would
# fetch whatever is newest that day.
RUN awk '/^[a-z]/ {keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} keep' \
      requirements.lock > build.lock \
 && pip install --require-hashes --only-binary :all: -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas ./schemas
COPY streams ./streams
COPY agents ./agents
# "." and not a bare name, which pip would look up in a registry.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM ${PYTHON_IMAGE} AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/penstock
# Dependencies before the project: their layer changes with the lock alone.
COPY requirements-runtime.lock /src/
RUN pip --python /opt/penstock/bin/python install \
      --require-hashes --only-binary :all: -r /src/requirements-runtime.lock
COPY --from=wheel /wheels /wheels
RUN pip --python /opt/penstock/bin/python install --no-deps --no-index /wheels/*.whl

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="penstock" \
      org.opencontainers.image.description="DSPy programs as event streams on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0"
# Numeric, so that Kubernetes can see that it is not root; a volume mounted on the
# state folder for the first time inherits its owner.
RUN install -d -m 0755 /etc/penstock/pipelines \
 && install -d -m 0750 -o 10001 -g 10001 /var/lib/penstock
COPY --from=environment /opt/penstock /opt/penstock
# HOME: the user has no entry in passwd, and DSPy wants a folder for its cache.
# LITELLM_LOCAL_MODEL_COST_MAP: else importing it fetches a price list from the network.
# PIP_PYTHON: pip in an image built on this one installs beside penstock.
# MALLOC_ARENA_MAX: docs/decisions/0018-memory.md.
ENV PATH=/opt/penstock/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_PYTHON=/opt/penstock/bin/python \
    LITELLM_LOCAL_MODEL_COST_MAP=True \
    MALLOC_ARENA_MAX=2 \
    PENSTOCK_PIPELINES_DIR=/etc/penstock/pipelines \
    PENSTOCK_STATE_DIR=/var/lib/penstock \
    PENSTOCK_HTTP_HOST=0.0.0.0
USER 10001:10001
WORKDIR /tmp
VOLUME /var/lib/penstock
EXPOSE 8080
ENTRYPOINT ["penstock"]
CMD ["worker"]
