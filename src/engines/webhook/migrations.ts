/** The webhook store, version by version. A landed version never changes; a new need is a new version. */
import type { Migration } from '../store/store.ts'

const first = `
-- Where webhooks go. What changes seldom stands here, what changes with each delivery in lane.
CREATE TABLE endpoint (
  lane INTEGER PRIMARY KEY,        -- its number: small, for it stands in every delivery
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL,            -- events of one tenant never reach an endpoint of another
  url TEXT NOT NULL,
  patterns TEXT NOT NULL,          -- JSON: the types of events that it is told
  spec TEXT NOT NULL,              -- JSON: see endpoints.ts
  state TEXT NOT NULL,             -- enabled | paused | disabled | removed
  reason TEXT,
  changed_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL        -- of all endpoints together: what is above the last that was seen has changed
);
CREATE INDEX endpoint_revision ON endpoint (revision);
CREATE INDEX endpoint_tenant ON endpoint (tenant, lane);

-- One row: the last revision.
CREATE TABLE revision (last INTEGER NOT NULL);
INSERT INTO revision (last) VALUES (0);

-- Who is told what.
CREATE TABLE subscription (
  tenant TEXT NOT NULL,
  pattern TEXT NOT NULL,           -- order.created, order.*, *
  lane INTEGER NOT NULL,
  PRIMARY KEY (tenant, pattern, lane)
) WITHOUT ROWID;

-- What one endpoint's queue is at. Whoever owns it sends; the fence grows with every owner.
CREATE TABLE lane (
  lane INTEGER PRIMARY KEY,
  ordering TEXT NOT NULL,          -- none | key | fifo
  seq INTEGER NOT NULL,            -- the last sequence number that was given
  owner TEXT,                      -- the life of a node
  fence INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  dead INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  failures INTEGER NOT NULL,       -- since the last success
  failing_since INTEGER,           -- of the first of these
  failed_at INTEGER,               -- of the last of these
  succeeded_at INTEGER,
  told INTEGER NOT NULL,           -- 1: the owner was told that it fails
  breaker TEXT,                    -- JSON, see policies/breaker.ts
  places INTEGER NOT NULL,         -- concurrency that was found
  quiet_until INTEGER              -- it asked to be left alone
);
CREATE INDEX lane_free ON lane (lane) WHERE owner IS NULL;

CREATE TABLE secret (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL,
  sealed TEXT NOT NULL,            -- see vault.ts
  fingerprint TEXT NOT NULL,       -- for display
  created_at INTEGER NOT NULL,
  expires_at INTEGER               -- signs until then; NULL: for good
);
CREATE INDEX secret_lane ON secret (lane);

CREATE TABLE event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,         -- begins with its time, so that the index grows at its end
  tenant TEXT NOT NULL,
  type TEXT NOT NULL,
  ordering_key TEXT,
  body TEXT NOT NULL,              -- the bytes that are sent and signed
  producer_key TEXT,
  digest TEXT,                     -- SHA-256 of what the producer's key was first used with
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX event_producer_key ON event (tenant, producer_key) WHERE producer_key IS NOT NULL;

-- One event for one endpoint.
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  n INTEGER NOT NULL,              -- its number in the lane, contiguous from 1
  state TEXT NOT NULL,             -- pending | chained | delivered | dead | cancelled
  class INTEGER NOT NULL,          -- 0 first attempt, 1 retry, 2 replay
  due INTEGER NOT NULL,            -- 0: at once
  tries INTEGER NOT NULL,          -- attempts so far
  strikes INTEGER NOT NULL,        -- of these, the ones that were this message's own fault, in this series
  chain TEXT,                      -- goes one after another with those of the lane that have the same
  job TEXT,                        -- the replay that asked for it
  flags INTEGER NOT NULL,          -- 1: answered "later", its acknowledgement is due; 2: the answer's body was cut
  reason TEXT,                     -- why it is dead, or why the last attempt failed
  created_at INTEGER NOT NULL,
  ended_at INTEGER
);
-- What a lane takes next: no look at any other lane.
CREATE INDEX delivery_due ON delivery (lane, class, due, id) WHERE state = 'pending';
CREATE INDEX delivery_chain ON delivery (lane, chain, id) WHERE chain IS NOT NULL AND state IN ('pending', 'chained');
CREATE INDEX delivery_dead ON delivery (lane, id) WHERE state = 'dead';
CREATE INDEX delivery_event ON delivery (event);
CREATE INDEX delivery_n ON delivery (lane, n);

CREATE TABLE attempt (
  delivery INTEGER NOT NULL,
  n INTEGER NOT NULL,
  at INTEGER NOT NULL,
  ms INTEGER NOT NULL,
  outcome TEXT NOT NULL,           -- a word of meaning.ts
  status INTEGER,
  detail TEXT,                     -- code of the error, or what was wrong with the answer
  body TEXT,                       -- the beginning of an answer that was no success
  PRIMARY KEY (delivery, n)
) WITHOUT ROWID;

-- Lanes in which something was made ready that is not new: a replay, a repair. Whoever owns one looks again.
CREATE TABLE nudge (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL
);

-- Who dispatches. A node beats; whoever looks counts for how long a beat has not changed.
CREATE TABLE node (
  name TEXT PRIMARY KEY,
  life TEXT NOT NULL,
  beat INTEGER NOT NULL,
  started_at INTEGER NOT NULL
);

CREATE TABLE replay (
  id TEXT PRIMARY KEY,
  tenant TEXT,
  filter TEXT NOT NULL,            -- JSON, see replay.ts
  newest_first INTEGER NOT NULL,
  per_second REAL NOT NULL,        -- 0: as fast as lanes take them
  state TEXT NOT NULL,             -- running | paused | cancelled | done
  bound INTEGER NOT NULL,          -- what became dead later is not meant
  cursor INTEGER NOT NULL,
  matched INTEGER NOT NULL,
  queued INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  failed INTEGER NOT NULL,         -- again
  credit_at INTEGER NOT NULL,      -- when the pace was last counted
  created_at INTEGER NOT NULL,
  ended_at INTEGER
);
CREATE INDEX replay_running ON replay (state) WHERE state = 'running';

-- What a person has done, and when.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  subject TEXT NOT NULL,
  why TEXT NOT NULL
);
`

const second = `
-- By how much the receiver's clock is ahead, ms, by the Date header of its latest answer.
ALTER TABLE lane ADD COLUMN skew_ms INTEGER;
`

export const migrations: readonly Migration[] = [
  { version: 1, sql: first },
  { version: 2, sql: second },
]
