#!/bin/sh
# Makes a certificate for a service, and the authority that signs it if the folder has none yet:
#
#   new-certificate.sh <folder> <role>[/<id>] [<host name or IPv4 address>…]
#
#   new-certificate.sh certificates api-server sluice.example.com 10.0.0.5
#   new-certificate.sh certificates scheduler
#   new-certificate.sh certificates agent/agent-1 agent-1.example.com
#
# Writes <role>[-<id>].pem and .key. The names are those that others reach the service by. Days: SLUICE_CERTIFICATE_DAYS, 825.
set -eu
[ $# -ge 2 ] || {
  echo "usage: $0 <folder> <role>[/<id>] [<host name or address>...]" >&2
  exit 2
}
folder=$1 identity=$2
shift 2
days=${SLUICE_CERTIFICATE_DAYS:-825}
name=$(printf %s "$identity" | tr / -)
umask 077
mkdir -p "$folder"
cd "$folder"

key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
if [ ! -e ca.key ]; then
  # shellcheck disable=SC2086
  openssl req -x509 $key -keyout ca.key -out ca.pem -days 3650 -subj "/CN=Sluice authority" 2>/dev/null
  chmod 644 ca.pem
fi

names="URI:spiffe://sluice/$identity"
for host in "$@"; do
  case $host in
    *[!0-9.]*) names="$names,DNS:$host" ;;
    *) names="$names,IP:$host" ;;
  esac
done
extensions=$(mktemp)
trap 'rm -f "$extensions" "$name.csr"' EXIT
cat >"$extensions" <<END
subjectAltName = $names
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
END
# shellcheck disable=SC2086
openssl req $key -keyout "$name.key" -out "$name.csr" -subj "/CN=$name" 2>/dev/null
openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -out "$name.pem" -days "$days" \
  -extfile "$extensions" 2>/dev/null
chmod 644 "$name.pem"
echo "$folder/$name.pem: $names, $days days"
