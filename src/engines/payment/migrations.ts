/** The payment store, version by version. A landed version never changes; a new need is a new version. */
import type { Migration } from '../store/store.ts'
import { ledgerMigration } from './ledger.ts'

const first = `
-- One payment: the client's key, what was asked, where it stands, and the answer that its key will always get.
CREATE TABLE payments (
  id TEXT PRIMARY KEY,
  scope TEXT NOT NULL,             -- whose key it is: keys of two tenants never meet
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,       -- SHA-256 of what the key was first used with
  order_ref TEXT NOT NULL,
  amount INTEGER NOT NULL,         -- minor units
  currency TEXT NOT NULL,
  card TEXT,                       -- kept while the bank may have to be asked again, then erased
  description TEXT NOT NULL,
  state TEXT NOT NULL,
  epoch INTEGER NOT NULL,          -- fencing: every write carries the epoch it believes in
  owner_node TEXT NOT NULL,
  owner_life INTEGER NOT NULL,
  lease_until INTEGER NOT NULL,    -- wall ms; after it another node may take over
  bank_key TEXT NOT NULL,          -- ours, stable for the payment's life, never the client's
  attempts INTEGER NOT NULL,       -- charge requests begun
  first_sent_at INTEGER,
  sent_at INTEGER,
  charge TEXT,
  reason TEXT,
  answer_status INTEGER,
  answer_body TEXT,
  finished_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE UNIQUE INDEX payments_key ON payments (scope, key);
-- Clients lose keys and make new ones: an order has at most one payment that has charged or still may.
CREATE UNIQUE INDEX payments_live_order ON payments (scope, order_ref) WHERE state NOT IN ('declined', 'released', 'voided');
CREATE INDEX payments_unfinished ON payments (lease_until) WHERE state IN ('claimed', 'sent', 'unknown');
CREATE INDEX payments_created ON payments (created_at);

-- Every charge request, written before it leaves.
CREATE TABLE attempts (
  payment TEXT NOT NULL,
  n INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  bank_key TEXT NOT NULL,
  sent_at INTEGER NOT NULL,
  timeout_ms INTEGER NOT NULL,
  outcome TEXT,
  detail TEXT,
  ended_at INTEGER,
  PRIMARY KEY (payment, n)
);

-- What must be told to others, written with the fact itself.
CREATE TABLE outbox (
  id TEXT PRIMARY KEY,
  payment TEXT NOT NULL,
  body TEXT NOT NULL,
  state TEXT NOT NULL,             -- ready | sent
  attempts INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  lease_until INTEGER NOT NULL
);

CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'ready';

-- Late or contradicting answers that may not change a state, kept for the operator.
CREATE TABLE evidence (
  payment TEXT NOT NULL,
  at INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  what TEXT NOT NULL
);
`

const second = `
ALTER TABLE payments ADD COLUMN acquirer TEXT NOT NULL DEFAULT 'bank';   -- the bank that was asked last
ALTER TABLE payments ADD COLUMN two_step INTEGER NOT NULL DEFAULT 0;     -- authorised beside fraud, captured afterwards
ALTER TABLE payments ADD COLUMN doubts INTEGER NOT NULL DEFAULT 0;       -- how often the bank's answer was in doubt: above 0 no other bank may be asked
ALTER TABLE payments ADD COLUMN cancelled_at INTEGER;                    -- somebody wants it undone, whatever the bank says
ALTER TABLE payments ADD COLUMN queue_until INTEGER;                     -- the payer's consent to be charged later, up to then
ALTER TABLE payments ADD COLUMN due_at INTEGER;                          -- queued: when it is tried again
ALTER TABLE payments ADD COLUMN retry_ms INTEGER;                        -- released: how long the client should wait
ALTER TABLE payments ADD COLUMN email TEXT;                              -- where a late outcome is told
-- Whether an owner lives is told by its beats, timed by whoever looks: no wall clock decides who may move a payment.
DROP INDEX payments_unfinished;
ALTER TABLE payments DROP COLUMN lease_until;
CREATE INDEX payments_unfinished ON payments (owner_node, owner_life) WHERE state IN ('claimed', 'sent', 'unknown');
CREATE INDEX payments_queued ON payments (due_at) WHERE state = 'queued';
CREATE INDEX payments_answered ON payments (finished_at) WHERE answer_body IS NOT NULL;

CREATE TABLE nodes (
  name TEXT PRIMARY KEY,
  life INTEGER NOT NULL,
  beat INTEGER NOT NULL
);

-- What is owed to others: a word to the customer, a capture or a void to the bank.
ALTER TABLE outbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'notification'; -- notification | capture | void
ALTER TABLE outbox ADD COLUMN service TEXT NOT NULL DEFAULT 'notification';
CREATE INDEX outbox_payment ON outbox (payment);

-- Money that goes back, by the same protocol as money that comes.
CREATE TABLE refunds (
  id TEXT PRIMARY KEY,
  payment TEXT NOT NULL,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  amount INTEGER NOT NULL,
  state TEXT NOT NULL,             -- sent | unknown | succeeded | refused | review
  epoch INTEGER NOT NULL,
  owner_node TEXT NOT NULL,
  owner_life INTEGER NOT NULL,
  bank_key TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  doubts INTEGER NOT NULL,
  first_sent_at INTEGER NOT NULL,
  sent_at INTEGER NOT NULL,
  refund TEXT,
  reason TEXT,
  answer_status INTEGER,
  answer_body TEXT,
  finished_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX refunds_key ON refunds (scope, key);
CREATE INDEX refunds_payment ON refunds (payment);
CREATE INDEX refunds_unfinished ON refunds (owner_node, owner_life) WHERE state IN ('sent', 'unknown');

-- What outlives a key: an order that was paid is never paid again.
CREATE TABLE orders (
  scope TEXT NOT NULL,
  order_ref TEXT NOT NULL,
  payment TEXT NOT NULL,
  charge TEXT,
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  PRIMARY KEY (scope, order_ref)
) WITHOUT ROWID;

-- Events of the bank that were taken: it sends them more than once.
CREATE TABLE bank_events (
  id TEXT PRIMARY KEY,
  at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX bank_events_at ON bank_events (at);

-- What the breakers know, for the next life and for the nodes beside; \`forced\` is an operator's word.
CREATE TABLE breakers (
  name TEXT PRIMARY KEY,
  snapshot TEXT,
  forced TEXT,
  updated_at INTEGER NOT NULL
);

-- What operators did.
CREATE TABLE audits (
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  subject TEXT NOT NULL,
  why TEXT NOT NULL
);
`

export const migrations: readonly Migration[] = [
  { version: 1, sql: first + ledgerMigration },
  { version: 2, sql: second },
]
