#!/bin/sh
# Runs the tests with code that is not ours, in a virtual environment under .tools/ that is made once and again when
# requirements.txt changes: Stripe's own Python SDK as a client of the sandbox, then as the signer of an event for the gateway
# of a suite started for it; and protovalidate's own implementation as a judge of the services' checks of requests.
# Arguments choose test modules: `tests/peers/run.sh test_sandbox`; default: all.
#
# STRIPE_SANDBOX_BIN        the sandbox binary (default: target/debug/stripe-sandbox)
# COUNTERFOIL_DEV_BIN       the program that starts a suite (default: target/debug/counterfoil-dev)
# GATEWAY_WEBHOOK_URL       for test_gateway: a gateway that runs already, in place of a suite's own
# GATEWAY_WEBHOOK_SECRET    for test_gateway: the secret of that endpoint
# COUNTERFOIL_RULES_SPECIMENS  for test_rules: a folder with requests that the chassis's tests left there (default: made now)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${COUNTERFOIL_TOOLS_DIR:-$root/.tools}
venv=$tools/peers-venv
stamp=$venv/requirements.txt

if ! cmp -s "$here/requirements.txt" "$stamp"; then
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || { echo "tests/peers: no $python; install Python 3.11 or later" >&2; exit 1; }
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
    set -- test_sandbox test_gateway test_rules
fi

# A suite of its own, whose addresses `up` writes once it is ready.
case " $* " in *" test_gateway "*)
    if [ -z "${GATEWAY_WEBHOOK_URL:-}" ]; then
        home=$root/.counterfoil/peers
        rm -f "$home/suite.json"
        mkdir -p "$home"
        env -u DATABASE_URL "${COUNTERFOIL_DEV_BIN:-$root/target/debug/counterfoil-dev}" up --home "$home" >"$home/up.log" 2>&1 &
        suite=$!
        trap 'kill $suite 2>/dev/null; wait $suite 2>/dev/null || true' EXIT
        waited=0
        while [ ! -f "$home/suite.json" ]; do
            if ! kill -0 $suite 2>/dev/null || [ $waited -ge 600 ]; then
                echo "tests/peers: the suite did not start" >&2
                cat "$home/up.log" >&2
                exit 1
            fi
            sleep 0.2
            waited=$((waited + 1))
        done
        of_suite() { "$venv/bin/python" -c "import json,sys; print(json.load(open(sys.argv[1]))['gateway'][sys.argv[2]])" "$home/suite.json" "$1"; }
        GATEWAY_WEBHOOK_URL=$(of_suite webhook_url)
        GATEWAY_WEBHOOK_SECRET=$(of_suite webhook_secret)
        export GATEWAY_WEBHOOK_URL GATEWAY_WEBHOOK_SECRET
    fi ;;
esac

case " $* " in *" test_rules "*)
    if [ -z "${COUNTERFOIL_RULES_SPECIMENS:-}" ]; then
        export COUNTERFOIL_RULES_SPECIMENS="$root/.counterfoil/rules"
        (cd "$root" && cargo nextest run --locked --cargo-quiet --package counterfoil-chassis --lib rules::check::specimens)
    fi ;;
esac

cd "$here"
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m unittest -v "$@"
