"""`python -m ledger --customers 2000 --seed 7`, with STRIPE_SANDBOX_BIN set: plays a year and judges it."""

import argparse
import sys
import time

from support import SECRET_KEY, start_sandbox

from .play import play

parser = argparse.ArgumentParser(prog="python -m ledger", description="Judges the sandbox's invoices of a random year.")
parser.add_argument("--customers", type=int, default=200)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--show", type=int, default=40, help="how many differences to print")
asked = parser.parse_args()

begun = time.monotonic()
process, url = start_sandbox(asked.seed)
try:
    year = play(url, SECRET_KEY, asked.customers, asked.seed)
finally:
    process.terminate()
    process.wait()
    process.stdout.close()
found = year.differences()
print(f"seed {asked.seed}: {year.summary()}; {time.monotonic() - begun:.1f} s")
for one in found[: asked.show]:
    print(one)
print(f"{len(found)} differences")
sys.exit(1 if found else 0)
