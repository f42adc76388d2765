// Prints the `Stripe-Signature` that Node's SDK makes for tests, over standard input under WEBHOOK_SECRET (../test_gateway.py).

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const Stripe = createRequire(join(process.env.PEERS_NODE, "package.json"))("stripe");

const payload = readFileSync(0, "utf8");
process.stdout.write(Stripe.webhooks.generateTestHeaderString({ payload, secret: process.env.WEBHOOK_SECRET }));
