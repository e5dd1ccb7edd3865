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

export const migrations: readonly Migration[] = [
  { version: 1, sql: first + ledgerMigration },
]
