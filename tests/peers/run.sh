#!/bin/sh
# Runs the tests with Stripe's own Python SDK, in a virtual environment under .tools/ that is made once and again when
# requirements.txt changes. Arguments choose test modules: `tests/peers/run.sh test_sandbox`; default: test_sandbox.
#
# STRIPE_SANDBOX_BIN        the sandbox binary (default: target/debug/stripe-sandbox)
# GATEWAY_WEBHOOK_URL       for test_gateway: where a webhook gateway takes deliveries
# GATEWAY_WEBHOOK_SECRET    for test_gateway: the secret of that endpoint
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${COUNTERFOIL_TOOLS_DIR:-$root/.tools}
venv=$tools/peers-venv
stamp=$venv/requirements.txt

if ! cmp -s "$here/requirements.txt" "$stamp"; then
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || { echo "tests/peers: no $python; install Python 3.9 or later" >&2; exit 1; }
    mkdir -p "$tools"
    # Made beside and moved into place, so that two runs at once do not share a half-made one.
    fresh=$(mktemp -d "$tools/peers-venv.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    "$python" -m venv "$fresh"
    "$fresh/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$fresh/requirements.txt"
    rm -rf "$venv"
    mv "$fresh" "$venv" 2>/dev/null || cmp -s "$here/requirements.txt" "$stamp"
fi

: "${STRIPE_SANDBOX_BIN:=$root/target/debug/stripe-sandbox}"
export STRIPE_SANDBOX_BIN
if [ $# -eq 0 ]; then
    set -- test_sandbox
fi
cd "$here"
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" -m unittest -v "$@"
