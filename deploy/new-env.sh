#!/bin/sh
# Writes the environment of compose.yaml with new secrets to standard output: sh deploy/new-env.sh > deploy/.env
set -eu
umask 077
# A letter first: nats-server would take a password of digits for a number.
random() { printf 'x%s' "$(openssl rand -hex "$1")"; }
cat <<END
COMPOSE_PROJECT_NAME=sluice

# Secrets of this cluster. Keep a copy: without SLUICE_MASTER_KEY no access key works any more.
POSTGRES_PASSWORD=$(random 16)
NATS_PASSWORD=$(random 16)

# Agents and schedulers prove with it that they are of this cluster. Several, separated by commas, while it is replaced.
SLUICE_JOIN_TOKEN=$(random 24)

# Encrypts access keys in the database: 64 hexadecimal digits.
SLUICE_MASTER_KEY=$(openssl rand -hex 32)

# The first access key; created at the first start.
SLUICE_ACCESS_KEY_ID=first
SLUICE_ACCESS_KEY_SECRET=$(random 24)

# Where the API can be reached. 0.0.0.0 only with TLS, or in a network that you trust.
SLUICE_BIND=127.0.0.1
END
