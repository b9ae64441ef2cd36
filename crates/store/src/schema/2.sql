-- The inventory of numbers. Costs are in millionths of the currency, times in microseconds since
-- the Unix epoch.
CREATE TABLE numbers (
    number TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    owner TEXT NOT NULL,
    country TEXT NOT NULL,
    calling TEXT NOT NULL,
    sms TEXT NOT NULL,
    assignment TEXT NOT NULL,
    cost_micros INTEGER,
    currency TEXT,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    seen INTEGER NOT NULL,
    CHECK ((cost_micros IS NULL) = (currency IS NULL)),
    CHECK (cost_micros >= 0)
) STRICT, WITHOUT ROWID;

-- Purchases by their search, with the name each was sent under: a repetition has the same.
CREATE TABLE orders (
    search TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    -- Seconds since the Unix epoch: HTTP dates have no more.
    first_sent INTEGER NOT NULL,
    operation TEXT,
    state TEXT NOT NULL
) STRICT;
