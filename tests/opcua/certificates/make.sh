#!/bin/sh
# Makes the certificates of the tests anew, with OpenSSL 3. They are valid until 2126.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
years=36500

key() { openssl genrsa -out "$work/$1.key" "${2:-2048}" 2>/dev/null; }

# request NAME: a key and a request for it.
request() {
    key "$1" "${2:-2048}"
    openssl req -new -key "$work/$1.key" -subj "/O=Test/CN=$1" -out "$work/$1.csr"
}

# issue NAME ISSUER EXTENSIONS [DIGEST]: signs a request; "self" signs itself.
issue() {
    printf '%b' "$3" > "$work/$1.ext"
    if [ "$2" = self ]; then signer="-signkey $work/$1.key"; else
        signer="-CA $work/$2.pem -CAkey $work/$2.key -CAcreateserial"; fi
    # shellcheck disable=SC2086
    openssl x509 -req -in "$work/$1.csr" $signer -days "${5:-$years}" "-${4:-sha256}" \
        -extfile "$work/$1.ext" -out "$work/$1.pem" 2>/dev/null
    openssl x509 -in "$work/$1.pem" -outform der -out "$1.der"
}

AUTHORITY='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
CLIENT='basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature,nonRepudiation,keyEncipherment,dataEncipherment\nsubjectAltName=URI:urn:test:client\n'

# list AUTHORITY FILE [REVOKED...]: a revocation list.
list() {
    authority=$1; file=$2; shift 2
    mkdir -p "$work/ca"; : > "$work/ca/index"; echo 01 > "$work/ca/number"
    cat > "$work/ca.cnf" <<CNF
[ca]
default_ca = test
[test]
database = $work/ca/index
crlnumber = $work/ca/number
default_md = sha256
default_crl_days = $years
CNF
    for one in "$@"; do
        openssl ca -config "$work/ca.cnf" -cert "$work/$authority.pem" \
            -keyfile "$work/$authority.key" -revoke "$work/$one.pem" 2>/dev/null
    done
    openssl ca -config "$work/ca.cnf" -cert "$work/$authority.pem" \
        -keyfile "$work/$authority.key" -gencrl -out "$work/$file.crl.pem" 2>/dev/null
    openssl crl -in "$work/$file.crl.pem" -outform der -out "$file.crl"
}

request root; issue root self "$AUTHORITY"
request between; issue between root "$AUTHORITY"
request client; issue client between "$CLIENT"
request revoked; issue revoked between "$CLIENT"
request alone; issue alone self "$CLIENT"
request short; issue short self "$CLIENT" sha256 1
request weak 1024; issue weak self "$CLIENT"
request sha1; issue sha1 self "$CLIENT" sha1
request mute; issue mute self 'keyUsage=critical,keyEncipherment\n'
request impostor; issue impostor client "$CLIENT"
list root root
list between between revoked

# Two authorities that have signed each other, and a client of one of them.
request left; request right
issue left self "$AUTHORITY"; issue right left "$AUTHORITY"; issue left right "$AUTHORITY"
request circle; issue circle left "$CLIENT"
