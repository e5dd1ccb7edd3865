/** The scheduler's store, version by version. A landed version never changes; a new need is a new version. */
import type { Migration } from '../store/store.ts'

const first = `
-- Who leads. The epoch only grows and is never used again; the beat grows with every renewal, so that whoever watches sees that it lives.
CREATE TABLE lease (
  name TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL,
  holder TEXT NOT NULL,            -- node and life; '' when it was given back
  beat INTEGER NOT NULL,
  ttl_ms INTEGER NOT NULL,
  pid INTEGER,                     -- of the holder's process, where it can be probed
  born TEXT,                       -- and when that process began: pids are used again
  host TEXT,
  build INTEGER NOT NULL,
  acquired_at INTEGER NOT NULL
);

-- One process that leads, follows and works. A new life of the same name takes the place of the old one.
CREATE TABLE node (
  name TEXT PRIMARY KEY,
  life TEXT NOT NULL,
  beat INTEGER NOT NULL,
  pid INTEGER,
  born TEXT,
  host TEXT,
  build INTEGER NOT NULL,
  slots INTEGER NOT NULL,
  draining INTEGER NOT NULL,
  ended INTEGER NOT NULL,          -- 1 after an orderly end: nothing of it runs
  started_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL         -- wall ms of its last beat, for people
);

CREATE TABLE schedule (
  name TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,     -- of the definition that new ticks get
  paused INTEGER NOT NULL,
  cursor_at INTEGER NOT NULL,      -- every slot up to this instant is in the ledger
  next_at INTEGER,                 -- the first slot after it; null when there is none
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE INDEX schedule_next ON schedule (next_at) WHERE next_at IS NOT NULL;

-- What a schedule says, generation by generation: a tick keeps the one under which it was due.
CREATE TABLE definition (
  schedule TEXT NOT NULL,
  generation INTEGER NOT NULL,
  spec TEXT NOT NULL,              -- JSON, as in spec.ts
  min_build INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (schedule, generation)
);

-- The ledger: each slot ends in exactly one state, with its reason.
CREATE TABLE tick (
  schedule TEXT NOT NULL,
  slot_at INTEGER NOT NULL,
  kind TEXT NOT NULL,              -- cron, manual, backfill: a make-up run never takes the place of a slot
  seq INTEGER NOT NULL,            -- tells manual ticks of one millisecond apart
  until_at INTEGER NOT NULL,       -- of a row that stands for several slots: the last of them
  slots INTEGER NOT NULL,          -- how many slots it stands for
  generation INTEGER NOT NULL,
  epoch INTEGER NOT NULL,          -- of the leader that recorded it
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  overlap TEXT NOT NULL,
  min_build INTEGER NOT NULL,
  run_at INTEGER NOT NULL,         -- not before
  attempts INTEGER NOT NULL,
  deaths INTEGER NOT NULL,         -- attempts that ended with their worker
  token INTEGER NOT NULL,          -- of the latest claim
  node TEXT,
  life TEXT,
  progress INTEGER,                -- per cent
  cancelling INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  output TEXT,
  PRIMARY KEY (schedule, slot_at, kind, seq)
);
CREATE INDEX tick_queued ON tick (run_at, schedule) WHERE state = 'queued';
CREATE INDEX tick_running ON tick (schedule) WHERE state = 'running';
CREATE INDEX tick_ended ON tick (ended_at) WHERE ended_at IS NOT NULL;

-- The last committed step of a run, so that another worker goes on behind it.
CREATE TABLE checkpoint (
  schedule TEXT NOT NULL,
  slot_at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  seq INTEGER NOT NULL,
  ord INTEGER NOT NULL,            -- 1, 2, 3 ...
  token INTEGER NOT NULL,
  data TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (schedule, slot_at, kind, seq, ord)
);

CREATE TABLE backfill (
  id TEXT PRIMARY KEY,
  schedule TEXT NOT NULL,
  from_at INTEGER NOT NULL,
  to_at INTEGER NOT NULL,
  cursor_at INTEGER NOT NULL,      -- slots up to this instant have their ticks
  per_second REAL NOT NULL,
  done INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);

-- Fencing tokens: one more for every claim, whatever the tick.
CREATE TABLE token (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
INSERT INTO token (one, last) VALUES (1, 0);
`

export const migrations: readonly Migration[] = [{ version: 1, sql: first }]
