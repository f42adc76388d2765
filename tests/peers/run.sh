#!/bin/sh
# Runs the tests with code that is not ours. Stripe's own SDKs for Python and Node act as clients of the sandbox in scenarios;
# all that they and it say is recorded, judged in the end against Stripe's description of its API, and parsed by async-stripe.
# Then both sign events for the gateway of a suite started for them, and protovalidate's own implementation judges the
# services' checks of requests. What they need is installed under .tools/ once, and again when requirements.txt or
# package-lock.json changes.
#
# Arguments choose what to run: `node` for all of node/, `node/customers` for one file of it, else a module of Python's, as
# `test_sandbox`, `scenarios` for all of it, `scenarios.test_customers`. Default: all.
#
# STRIPE_SANDBOX_BIN        the sandbox binary (default: target/debug/stripe-sandbox)
# LEDGER_SEED, LEDGER_CUSTOMERS  for ledger.test_year: which random year of how many customers (default: 1 and 200)
# COUNTERFOIL_DEV_BIN       the program that starts a suite (default: target/debug/counterfoil-dev)
# GATEWAY_WEBHOOK_URL       for test_gateway: a gateway that runs already, in place of a suite's own
# GATEWAY_WEBHOOK_SECRET    for test_gateway: the secret of that endpoint
# COUNTERFOIL_RULES_SPECIMENS  for test_rules: a folder with requests that the chassis's tests left there (default: made now)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${COUNTERFOIL_TOOLS_DIR:-$root/.tools}
venv=$tools/peers-venv

# Installs into a folder beside .tools/$1 and moves it into place, so that two runs at once do not share a half-made one.
install() {
    name=$1 lock=$2 how=$3
    cmp -s "$here/$lock" "$tools/$name/$(basename "$lock")" && return
    mkdir -p "$tools"
    fresh=$(mktemp -d "$tools/$name.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    "$how" "$fresh"
    cp "$here/$lock" "$fresh/"
    rm -rf "${tools:?}/$name"
    mv "$fresh" "$tools/$name" 2>/dev/null || cmp -s "$here/$lock" "$tools/$name/$(basename "$lock")"
    trap - EXIT
}

install_python() {
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || { echo "tests/peers: no $python; install Python 3.11 or later" >&2; exit 1; }
    "$python" -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
}

install_node() {
    if ! command -v npm >/dev/null || ! node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)'; then
        echo "tests/peers: no npm with Node 20.11 or later; install it" >&2
        exit 1
    fi
    cp "$here/node/package.json" "$here/node/package-lock.json" "$1/"
    npm ci --prefix "$1" --silent --ignore-scripts --no-audit --no-fund </dev/null
}

if [ $# -eq 0 ]; then
    set -- test_sandbox test_judge test_recorder test_readme test_cli scenarios node ledger.test_year test_gateway test_rules
fi
modules='' scripts=''
for chosen in "$@"; do
    case $chosen in
        node) scripts="$scripts $here/node/*.test.mjs" ;;
        node/*) scripts="$scripts $here/$chosen.test.mjs" ;;
        *) modules="$modules $chosen" ;;
    esac
done

install peers-venv requirements.txt install_python
case "$scripts $modules " in *.mjs* | *" test_readme "* | *" test_cli "* | *" test_gateway "*)
    install peers-node node/package-lock.json install_node ;;
esac

: "${STRIPE_SANDBOX_BIN:=$root/target/debug/stripe-sandbox}"
export STRIPE_SANDBOX_BIN
PEERS_PYTHON=$venv/bin/python PEERS_NODE=$tools/peers-node PEERS_RECORDS=$root/.counterfoil/peers-records
export PEERS_PYTHON PEERS_NODE PEERS_RECORDS
rm -rf "$PEERS_RECORDS"
mkdir -p "$PEERS_RECORDS"

# A suite of its own, whose addresses `up` writes once it is ready.
case " $modules " in *" test_gateway "*)
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

case " $modules " in *" test_rules "*)
    if [ -z "${COUNTERFOIL_RULES_SPECIMENS:-}" ]; then
        export COUNTERFOIL_RULES_SPECIMENS="$root/.counterfoil/rules"
        (cd "$root" && cargo nextest run --locked --cargo-quiet --package counterfoil-chassis --lib rules::check::specimens)
    fi ;;
esac

cd "$here"
export PYTHONDONTWRITEBYTECODE=1
failed=0
# Lists of words, hence without quotes.
if [ -n "$modules" ]; then
    # shellcheck disable=SC2086
    "$PEERS_PYTHON" -m unittest -v $modules || failed=1
fi
if [ -n "$scripts" ]; then
    # shellcheck disable=SC2086
    node --test --test-concurrency=3 --test-reporter=spec --test-timeout=60000 $scripts || failed=1
fi
if [ -n "$(ls "$PEERS_RECORDS")" ]; then
    "$PEERS_PYTHON" -m judge "$PEERS_RECORDS"/* || failed=1
    (cd "$root" && cargo run --locked --quiet -p counterfoil-stripe --example parse_records -- "$PEERS_RECORDS"/*) || failed=1
fi
exit $failed
