# Images with nothing in them but a program, which is static and runs as an ordinary user:
#
#     docker build -t visor .
#     docker build -t visor-operator --target visor-operator .
#     docker build -t visor-sink --target visor-sink .
#
# A release says besides which one it is, and of which commit:
#
#     docker buildx build --platform linux/amd64,linux/arm64 \
#         --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#
# glibc is linked in (`+crt-static`): the programs ask no name server and no user database, so
# nothing of glibc is missing from them. The host's own target is built, so the same file makes
# images for amd64 and arm64.

# By its digest: what a tag leads to can change.
FROM rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
ARG PROFILE=release
ARG BUILD=/build
WORKDIR /source
COPY . .
# The target is named so that the flag is for the programs, and not for the build's own helpers.
RUN RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked \
        --package visor --package visor-operator --package visor-sink \
        --profile "$PROFILE" --target-dir "$BUILD" \
        --target "$(rustc --version --verbose | sed -n 's/^host: //p')" \
    && case "$PROFILE" in dev) built=debug ;; *) built=$PROFILE ;; esac \
    && cp "$BUILD"/*-linux-*/"$built"/visor "$BUILD"/*-linux-*/"$built"/visor-operator \
        "$BUILD"/*-linux-*/"$built"/visor-sink "$BUILD" \
    && mkdir -p "$BUILD"/logs

FROM scratch AS visor-operator
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="visor-operator" \
      org.opencontainers.image.description="The operator of Visor: makes pods that write fake but faithful Apache logs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /build/visor-operator /visor-operator
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/visor-operator"]
CMD ["run"]

FROM scratch AS visor-sink
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="visor-sink" \
      org.opencontainers.image.description="The sink of Visor: takes what log collectors send, and tells which lines arrived" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /build/visor-sink /visor-sink
USER 65532:65532
EXPOSE 9465 4317 24224 5514 5514/udp 5170
ENTRYPOINT ["/visor-sink"]
CMD ["--http", ":9465", "--grpc", ":4317", "--forward", ":24224", "--syslog", ":5514", "--lines", ":5170"]

# The last one is what a build without `--target` makes.
FROM scratch AS visor
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="visor" \
      org.opencontainers.image.description="Visor: writes fake but faithful Apache logs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /build/visor /visor
COPY --from=build --chown=65532:65532 /build/logs /var/log/visor
USER 65532:65532
EXPOSE 9464
ENTRYPOINT ["/visor"]
CMD ["run", "-f", "/etc/visor/source.yaml", "--output-dir", "/var/log/visor", "--listen", ":9464"]
