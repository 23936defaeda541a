# Tessera on Debian 13: `docker build -t tessera .`, then
#   docker run --rm --network host tessera
# The host's network is the simple way: media takes a UDP port per peer, and ICE must know addresses that clients reach.
# README.md ("Deploying") says what to set without it.

FROM rust:1-trixie AS build
WORKDIR /src
# First what changes seldom, so that a change of the code finds it in Docker's cache.
COPY scripts/install-deps.sh scripts/
RUN scripts/install-deps.sh build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked \
    && install -D target/release/tessera /out/tessera

FROM debian:trixie-slim
COPY scripts/install-deps.sh /usr/local/lib/tessera/
# The upgrade brings GStreamer's security fixes, which are newer than the base image. curl is for HEALTHCHECK.
RUN apt-get update \
    && apt-get upgrade --yes \
    && /usr/local/lib/tessera/install-deps.sh run \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* /usr/local/lib/tessera \
    && useradd --uid 10001 --home-dir /var/lib/tessera --create-home --shell /usr/sbin/nologin tessera
COPY --from=build /out/tessera /usr/local/bin/tessera
COPY <<EOF /etc/tessera/tessera.toml
[server]
listen = "0.0.0.0:8080"
EOF

USER tessera
WORKDIR /var/lib/tessera
# A file, not the server's own variable: that would beat the configuration that is mounted over this one.
ENV GST_REGISTRY=/var/lib/tessera/gstreamer-registry.bin \
    TESSERA_CONFIG=/etc/tessera/tessera.toml
# Proves that every element is here, and leaves GStreamer's registry behind, so that a start need not scan the plugins.
RUN tessera pipelines check

EXPOSE 8080/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD listen=${TESSERA_LISTEN:-$(sed -n 's/^ *listen *= *"\(.*\)".*/\1/p' "$TESSERA_CONFIG")}; \
        listen=${listen:-127.0.0.1:8080}; \
        curl --silent --fail --output /dev/null "http://127.0.0.1:${listen##*:}/healthz"
ENTRYPOINT ["tessera"]
CMD ["serve"]
