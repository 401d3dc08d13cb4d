# For a machine with an NVIDIA GPU, its driver and the NVIDIA container toolkit; docs/install.md.
FROM python:3.12-slim

# A compiler for the compiled loop of `sample`.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY charrnn charrnn
RUN pip install --no-cache-dir -c constraints.txt .

# Any user may run it (--user), so that files in a mounted folder belong to that user.
ENV CHARRNN_CACHE=/tmp/charrnn HOME=/tmp
WORKDIR /data
ENTRYPOINT ["charrnn"]
