-- Times are microseconds since the Unix epoch.

CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    call TEXT NOT NULL UNIQUE,
    started INTEGER NOT NULL,
    answered INTEGER,
    ended INTEGER NOT NULL,
    from_trunk TEXT NOT NULL,
    to_trunk TEXT,
    called TEXT NOT NULL,
    calling TEXT,
    route TEXT,
    snapshot TEXT NOT NULL,
    status INTEGER,
    cause INTEGER NOT NULL,
    failure TEXT,
    ended_by TEXT NOT NULL,
    -- 'Group' where an application or more than two parties took part, else 'P2P'.
    kind TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;

CREATE INDEX calls_by_end ON calls (ended);

CREATE TABLE participants (
    call INTEGER NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    trunk TEXT NOT NULL,
    number TEXT,
    endpoint TEXT NOT NULL,
    direction TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    status INTEGER,
    PRIMARY KEY (call, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE streams (
    call INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    direction TEXT NOT NULL,
    codec TEXT,
    packets INTEGER NOT NULL,
    lost INTEGER,
    jitter_us INTEGER,
    round_trip_us INTEGER,
    mos_centi INTEGER,
    PRIMARY KEY (call, participant, ordinal),
    FOREIGN KEY (call, participant) REFERENCES participants (call, ordinal) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- One row a participant, as in Azure's table of this name: its call's length is that of the whole
-- call, counted from the first attempt. Sub-codes are 560 and the SIP status on a leg that the
-- gateway set up towards a telephone, 540 on one that was set up towards the gateway.
CREATE VIEW ACSCallSummary AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', c.ended / 1000000.0, 'unixepoch') AS TimeGenerated,
    'CallSummary' AS OperationName,
    '1.0' AS OperationVersion,
    'CallSummary' AS Category,
    c.call AS CorrelationId,
    CASE WHEN p.number IS NULL THEN '' ELSE '4:' || p.number END AS Identifier,
    strftime('%Y-%m-%dT%H:%M:%fZ', c.started / 1000000.0, 'unixepoch') AS CallStartTime,
    CAST(round((c.ended - c.started) / 1000000.0) AS INTEGER) AS CallDuration,
    c.kind AS CallType,
    NULL AS TeamsThreadId,
    c.call || '/' || p.ordinal AS ParticipantId,
    strftime('%Y-%m-%dT%H:%M:%fZ', p.started / 1000000.0, 'unixepoch') AS ParticipantStartTime,
    CAST(round((p.ended - p.started) / 1000000.0) AS INTEGER) AS ParticipantDuration,
    CASE
        WHEN p.status BETWEEN 200 AND 299 THEN '0'
        ELSE CAST(coalesce(p.status, 487) AS TEXT)
    END AS ParticipantEndReason,
    CASE p.direction WHEN 'outbound' THEN '560' ELSE '540' END || CASE
        WHEN p.status BETWEEN 200 AND 299 THEN '000'
        ELSE CAST(coalesce(p.status, 487) AS TEXT)
    END AS ParticipantEndSubCode,
    CASE
        WHEN p.status BETWEEN 200 AND 299 THEN 'Success'
        WHEN p.status >= 500 AND p.status < 600 THEN 'UnexpectedServerError'
        ELSE 'ExpectedError'
    END AS ResultCategory,
    p.trunk AS EndpointId,
    p.endpoint AS EndpointType,
    NULL AS SdkVersion,
    NULL AS OsVersion,
    NULL AS ParticipantTenantId,
    p.endpoint AS ParticipantType,
    CASE p.endpoint WHEN 'PSTN' THEN 'DirectRouting' END AS PstnParticipantCallType
FROM calls AS c JOIN participants AS p ON p.call = c.id;

-- One row a stream of media, as in Azure's table of this name. The gateway keeps no mean over a
-- call's time: average and greatest are both what was measured at its end.
CREATE VIEW ACSCallDiagnostics AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', c.ended / 1000000.0, 'unixepoch') AS TimeGenerated,
    'CallDiagnostics' AS OperationName,
    '1.0' AS OperationVersion,
    'CallDiagnostics' AS Category,
    c.call AS CorrelationId,
    c.call || '/' || p.ordinal AS ParticipantId,
    CASE WHEN p.number IS NULL THEN '' ELSE '4:' || p.number END AS Identifier,
    p.trunk AS EndpointId,
    p.endpoint AS EndpointType,
    'Audio' AS MediaType,
    s.ordinal AS StreamId,
    s.direction AS StreamDirection,
    'UDP' AS TransportType,
    CAST(round(s.round_trip_us / 1000.0) AS INTEGER) AS RoundTripTimeAvg,
    CAST(round(s.round_trip_us / 1000.0) AS INTEGER) AS RoundTripTimeMax,
    CAST(round(s.jitter_us / 1000.0) AS INTEGER) AS JitterAvg,
    CAST(round(s.jitter_us / 1000.0) AS INTEGER) AS JitterMax,
    CASE WHEN s.packets + s.lost > 0 THEN s.lost * 1.0 / (s.packets + s.lost) END
        AS PacketLossRateAvg,
    CASE WHEN s.packets + s.lost > 0 THEN s.lost * 1.0 / (s.packets + s.lost) END
        AS PacketLossRateMax,
    NULL AS JitterBufferSizeAvg,
    NULL AS JitterBufferSizeMax,
    NULL AS HealedDataRatioAvg,
    NULL AS HealedDataRatioMax,
    s.packets AS PacketUtilization,
    s.codec AS CodecName,
    NULL AS VideoFrameRateAvg,
    NULL AS VideoBitRateAvg,
    NULL AS VideoBitRateMax,
    NULL AS RecvResolutionHeight,
    NULL AS RecvFreezeDurationPerMinuteInMs
FROM calls AS c
JOIN participants AS p ON p.call = c.id
JOIN streams AS s ON s.call = p.call AND s.participant = p.ordinal;
