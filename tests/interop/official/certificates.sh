#!/usr/bin/env bash
# certificates.sh FOLDER [NAME]: an authority (ca.pem), and a certificate of its (cert.pem, key.pem) for
# secure WebSocket at that name, and on this machine.
set -euo pipefail

folder=$1 name=${2-libp2p.test}
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
mkdir -p "$folder"
cd "$folder"
openssl req -x509 "${key[@]}" -keyout ca.key -out ca.pem -days 365 -subj "/CN=test authority"
openssl req "${key[@]}" -keyout key.pem -out request.pem -subj "/CN=$name"
echo "subjectAltName=DNS:$name,IP:127.0.0.1" >names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 365 -extfile names
rm -f ca.key ca.srl request.pem names
chmod 644 key.pem
