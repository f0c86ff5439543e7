-- The replicated state of one member. Money is in minor units, times in milliseconds since 1970.
-- Every table but `derived` is part of the state hash, in the order of its primary key.

CREATE TABLE header (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  applied_index INTEGER NOT NULL,
  applied_term INTEGER NOT NULL,
  stamp_ms INTEGER NOT NULL,
  cluster_id TEXT NOT NULL,
  currency TEXT NOT NULL,
  digits INTEGER NOT NULL,
  next_item_id INTEGER NOT NULL,
  next_user_id INTEGER NOT NULL,
  next_ledger_id INTEGER NOT NULL,
  admins INTEGER NOT NULL,
  next_period INTEGER NOT NULL,
  orders INTEGER NOT NULL,
  next_session_id INTEGER NOT NULL,
  next_audit_id INTEGER NOT NULL,
  audit_hash TEXT NOT NULL
) STRICT;

CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  role INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  disabled INTEGER NOT NULL,
  create_ms INTEGER NOT NULL,
  password_hash TEXT NOT NULL,
  folded_name TEXT NOT NULL,  -- by which names are compared; the log brings it
  delete_ms INTEGER NOT NULL,  -- 0: not deleted
  must_change_password INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX users_by_name ON users (folded_name) WHERE delete_ms = 0;

-- Log-ins that have not ended.
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY,
  user_id INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  create_ms INTEGER NOT NULL,
  refresh_ms INTEGER NOT NULL,
  label TEXT NOT NULL,
  source TEXT NOT NULL,
  family_hash BLOB NOT NULL,  -- SHA-256, as the next
  secret_hash BLOB NOT NULL
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id, id);

CREATE TABLE items (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  price_minor INTEGER NOT NULL,
  quantity INTEGER NOT NULL CHECK (quantity >= 0),
  create_ms INTEGER NOT NULL,
  update_ms INTEGER NOT NULL,
  delete_ms INTEGER NOT NULL,
  order_count INTEGER NOT NULL,
  units_sold INTEGER NOT NULL,
  revenue_minor INTEGER NOT NULL,
  first_order_ms INTEGER NOT NULL,
  last_order_ms INTEGER NOT NULL,
  folded_name TEXT NOT NULL  -- each member makes it out of the name; no part of the state hash
) STRICT;

CREATE INDEX items_by_price ON items (price_minor, id) WHERE delete_ms = 0;
CREATE INDEX items_by_name ON items (folded_name, id) WHERE delete_ms = 0;

-- Stock that moved. The lines of an order stand together, and its id is that of its first line.
CREATE TABLE ledger (
  id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL,
  item_id INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  delta INTEGER NOT NULL,
  on_hand_after INTEGER NOT NULL,
  unit_price_minor INTEGER NOT NULL,
  stamp_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX orders_by_user ON ledger (user_id, id) WHERE order_id = id;

-- Units sold of an item in each hour since 1970.
CREATE TABLE sales (
  item_id INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  units INTEGER NOT NULL,
  PRIMARY KEY (item_id, hour)
) STRICT, WITHOUT ROWID;

-- What became of requests.
CREATE TABLE requests (
  period INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  digest BLOB NOT NULL,
  outcome BLOB NOT NULL,
  administration INTEGER NOT NULL,
  PRIMARY KEY (period, request_id)
) STRICT, WITHOUT ROWID;

-- Requests that a user made one after the other, and forgets together; see `machine/request_table.py`.
CREATE TABLE request_periods (
  number INTEGER PRIMARY KEY,
  user_id INTEGER NOT NULL,
  begin_second INTEGER NOT NULL,
  newest_second INTEGER NOT NULL,  -- in the ids; 0: no id has a time
  slots INTEGER NOT NULL  -- 0: the requests are forgotten, and newest_second is the user's floor
) STRICT;

-- The audit log; each hash covers the record and the hash before it (docs/adr/0019).
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  time_ms INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  kind TEXT NOT NULL,
  outcome TEXT NOT NULL,
  actor_id INTEGER NOT NULL,
  actor TEXT NOT NULL,
  subject_id INTEGER NOT NULL,
  detail TEXT NOT NULL,
  source TEXT NOT NULL,
  request_id TEXT NOT NULL,
  event_count INTEGER NOT NULL,
  previous_hash TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_actor ON audit (actor_id, id);
CREATE INDEX audit_by_kind ON audit (kind, id);

-- What made the columns that are no part of the state.
CREATE TABLE derived (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  unicode TEXT NOT NULL  -- the version that `items.folded_name` is of
) STRICT;
