# Lethe, alone in its image: one static binary, and the certificates of the authorities that other
# hosts' are checked with.
#
#   docker build -t lethe .
#   docker run -d --name lethe -p 127.0.0.1:8008:8008 -v lethe:/data \
#     -e LETHE_SERVER_NAME=example.org -e LETHE_PUBLIC_BASE_URL=https://matrix.example.org lethe
#   docker exec -it lethe /lethe account create --admin NAME
#
# Every setting is a LETHE_… variable; with a file: -v ./lethe.yaml:/lethe.yaml:ro -e LETHE_CONFIG=/lethe.yaml
#
# There is no HEALTHCHECK, since the image has no program to ask with: GET /health from outside.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/lethe ./cmd/lethe
# The folder for data as it is to be: a new volume takes its owner and mode from it.
RUN install -d -m 700 -o 10001 -g 10001 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/lethe /lethe
COPY --from=build --chown=10001:10001 /out/data /data
USER 10001:10001
ENV LETHE_LISTEN=0.0.0.0:8008 LETHE_DATA_DIR=/data
VOLUME /data
EXPOSE 8008
STOPSIGNAL SIGTERM
ENTRYPOINT ["/lethe"]
CMD ["serve"]
