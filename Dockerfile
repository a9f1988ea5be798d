# The operator's image: Python, the locked packages and nothing else; no shell, no pip.
#   docker build -t registry.example.com/canarium:0.1.0 .
#   docker build --build-arg LOCK=requirements-stats.lock …    # with scipy, for metrics of RankSum
# /opt/canarium/sbom.cdx.json in the image says what is in it.
# BASE is a Debian with Python 3.11 or newer, pip and venv. It is what the files are taken from.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
ARG LOCK=requirements.lock
# Of every file in the image, in seconds: the same sources give the same bytes.
ARG SOURCE_DATE_EPOCH=0
ENV PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}
WORKDIR /src
COPY ${LOCK} requirements-image.lock ./
RUN python3 -m venv /opt/tools \
 && /opt/tools/bin/pip install --quiet --require-hashes --requirement requirements-image.lock \
 && python3 -m venv --without-pip /opt/canarium \
 && /opt/tools/bin/pip --python /opt/canarium/bin/python install --quiet --require-hashes \
      --requirement ${LOCK}
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /opt/wheel .
COPY image image
RUN /opt/tools/bin/pip --python /opt/canarium/bin/python install --quiet --no-deps /opt/wheel/*.whl \
 && /opt/tools/bin/cyclonedx-py environment --output-reproducible --output-file packages.json \
      /opt/canarium/bin/python \
 && /opt/canarium/bin/python image/collect.py /opt/canarium /opt/root packages.json

FROM scratch
COPY --from=build /opt/root /
# glibc raises both by itself otherwise, and long answers that came and went stay with the process.
ENV MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=131072 \
    PATH=/opt/canarium/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/opt/canarium/bin/python", "-m", "canarium"]
CMD ["operator", "run"]
