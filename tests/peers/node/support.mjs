// What a scenario needs: a world of its own, which is a sandbox with a seed, a recorder before it and a receiver behind it.
// The Python twin of this file is ../support.py; the recorder is the same program.
//
// scenario("a customer is renamed", async ({ stripe, followed }) => {
//   const customer = await stripe.customers.create({ name: "Jenny" });
//   await followed("customer.created");
//   await stripe.customers.update(customer.id, { name: "Jen" });
//   const [updated] = await followed("customer.updated");
//   assert.deepEqual(updated.data.previous_attributes, { name: "Jenny" });
// });

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

// `run.sh` installs the SDK beside the other tools, not here.
const Stripe = createRequire(join(process.env.PEERS_NODE, "package.json"))("stripe");

export const DAY = 86_400;
// 2027-01-15T08:00:00Z: the clock of every scenario stands there until it is advanced.
export const START = "1800000000";
export const RETURN = "https://example.com/return";
/** What follows a payment at once. */
export const PAID = ["payment_intent.created", "payment_intent.succeeded", "charge.succeeded"];
const SECRET_KEY = "sk_test_peers";
const WEBHOOK_SECRET = "whsec_peers_receiver";
const PATIENCE_MS = 30_000;
const RECORDER = fileURLToPath(new URL("../recorder.py", import.meta.url));
const records = process.env.PEERS_RECORDS ?? mkdtempSync(join(tmpdir(), "peers-records-"));

/** A program that was started, and the lines that it prints. */
class Program {
  constructor(command, ...args) {
    this.process = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  async address() {
    const { value } = await this.lines.next();
    const found = /http:\/\/\S+/.exec(value ?? "");
    assert.ok(found, `${this.process.spawnfile} did not say where it listens: ${value}`);
    return found[0];
  }

  async end() {
    const exit = once(this.process, "exit");
    this.process.stdin.end();
    this.process.kill("SIGTERM");
    return (await exit)[0];
  }
}

/** One recorder for the scenarios of a file: for the address of each sandbox it opens another door. */
const file = basename(process.argv[1], ".test.mjs");
const record = join(records, `node-${file}.jsonl`);
const recorder = new Program(process.env.PEERS_PYTHON ?? "python3", RECORDER, record);
after(() => recorder.end());

function recorded(address) {
  recorder.process.stdin.write(`${address}\n`);
  return recorder.address();
}

/** Takes deliveries and verifies each with the SDK. */
class Receiver {
  events = [];
  raw = [];
  refused = [];

  constructor(stripe, record, secret) {
    this.secret = secret;
    this.server = createServer(async (request, response) => {
      const pieces = [];
      for await (const piece of request) pieces.push(piece);
      response.statusCode = this.take(stripe, Buffer.concat(pieces), request.headers["stripe-signature"], record);
      response.end();
    });
  }

  take(stripe, body, signature, record) {
    try {
      this.events.push(stripe.webhooks.constructEvent(body, signature, this.secret));
    } catch (error) {
      this.refused.push(String(error)); // whatever it is, the test shows it
      return 400;
    }
    appendFileSync(record, `${JSON.stringify({ kind: "event", body: JSON.parse(body) })}\n`);
    this.raw.push([body, signature]);
    return 200;
  }

  async listen() {
    await once(this.server.listen(0, "127.0.0.1"), "listening");
    this.url = `http://127.0.0.1:${this.server.address().port}/hook`;
    return this;
  }

  async end() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** A sandbox in memory, a client that reaches it through a recorder, and a receiver of all its events. */
class World {
  #seen = 0;
  #receivers = [];

  constructor(name, options = [], seed = 7) {
    const usual = ["--listen", "127.0.0.1:0", "--secret-key", SECRET_KEY, "--seed", String(seed), "--frozen-time", START];
    this.sandbox = new Program(process.env.STRIPE_SANDBOX_BIN, ...usual, ...options);
    this.eventRecord = join(records, `node-${name.replaceAll(/\W+/g, "_")}.events.jsonl`);
  }

  async begin() {
    this.sandboxUrl = await this.sandbox.address();
    this.url = await recorded(this.sandboxUrl);
    this.stripe = this.clientOf(SECRET_KEY);
    this.receiver = await this.anotherReceiver(WEBHOOK_SECRET);
    await this.#register("platform", false);
  }

  #register(name, connect) {
    return this.control("webhook_endpoints", { name, url: this.receiver.url, secret: WEBHOOK_SECRET, connect });
  }

  /** From now on the events of connected accounts are received too. */
  receiveOfAccounts = () => this.#register("accounts", true);

  /** A receiver for an endpoint that a scenario makes, whose secret it then sets. */
  anotherReceiver = (secret) => {
    const receiver = new Receiver(this.stripe, this.eventRecord, secret);
    this.#receivers.push(receiver);
    return receiver.listen();
  };

  clientOf = (key, maxNetworkRetries = 0, more = {}) => {
    const { hostname, port } = new URL(this.url);
    return new Stripe(key, { host: hostname, port, protocol: "http", maxNetworkRetries, telemetry: false, ...more });
  };

  /** Calls the sandbox's control API, of which the record has only which faults were wished for. */
  control = async (path, body) => {
    if (path === "faults" && body) appendFileSync(record, `${JSON.stringify({ kind: "faults", body })}\n`);
    return JSON.parse(await this.#control(path, body && JSON.stringify(body)));
  };

  async #control(path, body) {
    const answer = await fetch(`${this.sandboxUrl}/_sandbox/${path}`, body ? { method: "POST", body } : {});
    assert.equal(answer.status, 200, path);
    return answer.text();
  }

  /** From now on some answers, or deliveries, go wrong; called with nothing, none does. */
  spoil = (answers = [], deliveries = {}) => this.control("faults", { answers, deliveries });

  snapshot = () => this.#control("snapshot", "{}");

  restore = (snapshot) => this.#control("restore", snapshot);

  /** What happened to objects of a kind, by the sandbox's ledger: each effect and the operation it came of. */
  effects = async (kind) => {
    const { effects } = await this.control("ledger");
    return effects.filter((one) => one.object === kind).map((one) => [one.effect, one.operation]);
  };

  /** Moves the sandbox's time on; all that came due is done when this resolves. */
  advance = async (seconds) => (await this.control("clock", { advance_seconds: seconds })).now;

  now = async () => (await this.control("clock")).now;

  /** Waits until every delivery has been accepted. */
  settle = async () => {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const left = await this.control("deliveries");
      if (!left.pending) return;
      assert.ok(Date.now() < deadline, `deliveries stay pending: ${JSON.stringify(left)}; ${this.receiver.refused}`);
      await pause(5);
    }
  };

  /** How many events there have been. */
  mark = async () => {
    await this.settle();
    return this.receiver.events.length;
  };

  /** The events that followed, in the order in which they came, which is not that in which they happened. */
  eventsSince = async (mark) => {
    await this.settle();
    return this.receiver.events.slice(mark);
  };

  /** Events in the order in which they happened, which neither the order in which they came nor their seconds tell. */
  #asTheyHappened = async (events) => {
    const newestFirst = (await this.control("objects/event")).data.map((one) => one.object.id);
    return events.sort((one, other) => newestFirst.indexOf(other.id) - newestFirst.indexOf(one.id));
  };

  /** Asserts that exactly these events followed since the last time; gives them in the order of the types named. */
  followed = async (...types) => {
    let events = await this.eventsSince(this.#seen);
    this.#seen += events.length;
    assert.deepEqual(events.map((event) => event.type).sort(), [...types].sort());
    assert.deepEqual(this.receiver.refused, []);
    if (new Set(types).size < types.length) events = await this.#asTheyHappened(events);
    return types.map((type) => events.splice(events.findIndex((event) => event.type === type), 1)[0]);
  };

  /** As `followed`, for events of a call that is not over: waits until as many have come. */
  awaited = async (...types) => {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.receiver.events.length < this.#seen + types.length && Date.now() < deadline) await pause(5);
    return this.followed(...types);
  };

  /** Sends the form of a page, as a browser does. */
  submit = (url, fields) => fetch(url, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });

  /** Fills in the form of a checkout page. */
  pay = (url, number = "4242424242424242", fields = {}) =>
    this.submit(url, { card_number: number, card_expiry: "12/40", card_cvc: "123", ...fields });

  /** A payment intent that is confirmed as it is created, with this test card. */
  paid = (amount, card = "visa", more = {}) => {
    const form = { amount, currency: "usd", confirm: true, payment_method: `pm_card_${card}`, return_url: RETURN };
    return this.stripe.paymentIntents.create({ ...form, ...more });
  };

  async end() {
    await Promise.all(this.#receivers.map((receiver) => receiver.end()));
    assert.equal(await this.sandbox.end(), 0, "the sandbox ends well on SIGTERM");
  }
}

/** A test in a world of its own, so that none sees another's events and ids are always the same. */
export function scenario(name, play, options) {
  test(name, async () => {
    const world = new World(name, options);
    try {
      await world.begin();
      await play(world);
    } finally {
      await world.end();
    }
  });
}

/** A price of a product of its own. */
export async function priced(stripe, amount, more = {}) {
  const product = await stripe.products.create({ name: "Thing" });
  return stripe.prices.create({ product: product.id, currency: "usd", unit_amount: amount, ...more });
}

/** The ids of a list, or of its page. */
export const ids = (list) => (list.data ?? list).map((one) => one.id);

export const amountsOf = (invoice) => invoice.lines.data.map((line) => line.amount);

/** A preview of an invoice, which neither an event nor a list tells of. */
export async function preview(world, form) {
  const before = (await world.control("world")).sha256;
  const made = await world.stripe.invoices.createPreview(form);
  await world.followed();
  assert.equal((await world.control("world")).sha256, before);
  assert.match(made.id, /^upcoming_in_/);
  assert.deepEqual([made.status, made.billing_reason, made.number], ["draft", "upcoming", null]);
  assert.equal(made.lines.url, `/v1/invoices/${made.id}/lines`);
  return made;
}

/** Asserts that a call is refused; gives the error. */
export async function refused(call, type, status, code) {
  const error = await call.then(
    () => assert.fail("the call was not refused"),
    (caught) => caught,
  );
  assert.deepEqual([error.type, error.statusCode, error.code], [type, status, code], String(error.stack));
  return error;
}
