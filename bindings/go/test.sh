#!/bin/sh
# Checks and tests the Go packages against real servers. The library is found by pkg-config; the nodes of dqlite are run
# by target/debug/quorate.
set -eu
cd "$(dirname "$0")"

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
    echo "gofmt would change: $unformatted" >&2
    exit 1
fi
go vet ./...
# A result that was cached says nothing about the library, which Go does not look at.
go test -race -count=1 -timeout 300s ./...
# The same linked with the static library.
go test -tags quorate_static -count=1 -timeout 120s -run 'Values|Errors' ./quorate
