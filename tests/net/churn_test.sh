#!/usr/bin/env bash
# A short churn on every transport: nothing may be left when all of it is over. For half an hour:
# build/bench-churn 1800.
set -u
ASAN_OPTIONS="${ASAN_OPTIONS-}:quarantine_size_mb=4" exec timeout -k 5 250 "$1/bench-churn" 12
