-- Everything contourd knows that is not pixels. Times are the database's own clock.

-- The state directory that holds the files of this database: one row.
create table binding (
    one boolean primary key default true check (one),
    identity uuid not null
);

-- One revision of one series. A slice that comes after the series was taken as complete opens the next revision.
create table cases (
    id uuid primary key,
    study_uid text not null,
    series_uid text not null,
    frame_uid text,
    revision integer not null check (revision >= 1),
    state text not null check (state in
        ('receiving', 'queued', 'segmenting', 'delivering', 'delivered', 'refused', 'failed', 'superseded')),
    reason text,                       -- why it is where it is, for a technician; no patient data
    refusals jsonb not null default '[]',
    route text not null,
    calling_ae text not null,
    called_ae text not null,
    model_name text,
    model_digest text,
    config_digest text,
    report jsonb,                      -- report of the whole run: warnings, times of the stages
    patient_id text not null default '',
    patient_name text not null default '',
    series_description text not null default '',
    modality text not null default '',
    received_at timestamptz not null default now(),
    last_instance_at timestamptz not null default now(),
    finished_at timestamptz,
    unique (series_uid, revision)
);
create index cases_by_state on cases (state, last_instance_at);
create index cases_by_time on cases (received_at desc);

-- Every instance that was acknowledged. A case of revision r has all instances of its series with revision <= r.
create table instances (
    sop_instance_uid text primary key,
    sop_class_uid text not null,
    series_uid text not null,
    revision integer not null,
    transfer_syntax text not null,
    content_sha256 text not null,      -- of the data set as sent: the same again is a resend, another is a conflict
    blob_key text not null,
    sha256 text not null,              -- of the file
    byte_count bigint not null check (byte_count > 0),
    received_at timestamptz not null default now(),
    foreign key (series_uid, revision) references cases (series_uid, revision)
);
create index instances_by_series on instances (series_uid, revision);

-- Instances that were refused on receipt because they are damaged, so that the reason stands on the case. One that
-- came again whole counts no longer.
create table refused_instances (
    series_uid text not null,
    sop_instance_uid text not null,
    refusal jsonb not null,
    refused_at timestamptz not null default now(),
    primary key (series_uid, sop_instance_uid)
);

-- Segmentation jobs, one a case, leased to a worker for a while.
create table jobs (
    case_id uuid primary key references cases,
    state text not null default 'ready' check (state in ('ready', 'leased', 'done', 'failed')),
    attempts integer not null default 0,
    not_before timestamptz not null default now(),
    lease_holder uuid,
    lease_until timestamptz,
    last_error text,
    created_at timestamptz not null default now(),
    check ((state = 'leased') = (lease_holder is not null)),
    check ((lease_holder is null) = (lease_until is null))
);
create index jobs_open on jobs (not_before) where state in ('ready', 'leased');

-- What was found, one row a structure of the catalogue, also for those not found.
create table structures (
    case_id uuid not null references cases,
    structure text not null,
    found boolean not null,
    volume_cc double precision check (volume_cc >= 0),
    agreement double precision check (agreement between 0 and 1),
    report jsonb not null default '{}',
    contours jsonb not null default '[]',   -- [{"slice": k, "points": [[i, j], ...]}, ...] on the grid of the referenced images
    primary key (case_id, structure),
    check (found = (volume_cc is not null))
);

-- Objects that contourd made. The bytes lie under blob_key and are sent as they are, each time.
create table results (
    id bigint generated always as identity primary key,
    case_id uuid not null references cases,
    kind text not null check (kind in ('derived_image', 'structure_set')),
    seq integer not null,              -- position in the derived series; the structure set comes last
    sop_instance_uid text not null unique,
    sop_class_uid text not null,
    series_uid text not null,
    blob_key text not null,
    sha256 text not null,
    byte_count bigint not null check (byte_count > 0),
    made_at timestamptz not null default now(),
    unique (case_id, seq)
);
create unique index results_one_structure_set on results (case_id) where kind = 'structure_set';

-- What is to be sent where. A row is never deleted; it ends as accepted, or as failed with a reason.
create table outbox (
    id bigint generated always as identity primary key,
    result_id bigint not null references results,
    case_id uuid not null references cases,
    destination text not null,
    seq integer not null,
    state text not null default 'pending' check (state in ('pending', 'accepted', 'failed')),
    attempts integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    last_error text,
    lease_holder uuid,
    lease_until timestamptz,
    sent_at timestamptz,
    unique (result_id, destination),
    check ((state = 'accepted') = (sent_at is not null)),
    check ((lease_holder is null) = (lease_until is null))
);
create index outbox_pending on outbox (destination, next_attempt_at) where state = 'pending';
create index outbox_by_case on outbox (case_id);

-- Reviews. A changed mind is a new row.
create table reviews (
    id bigint generated always as identity primary key,
    case_id uuid not null,
    structure text not null,
    verdict text not null check (verdict in ('accept', 'minor', 'major', 'reject', 'not_assigned')),
    reviewer text not null check (length(reviewer) between 1 and 200),
    comment text not null default '' check (length(comment) <= 4000),
    seconds_spent integer check (seconds_spent >= 0),
    made_at timestamptz not null default now(),
    foreign key (case_id, structure) references structures (case_id, structure)
);
create index reviews_by_structure on reviews (case_id, structure, id);

-- What happened, without patient data.
create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    event text not null,
    case_id uuid,
    detail jsonb not null default '{}'
);
create index audit_by_case on audit (case_id, id);
create index audit_of_refusals on audit (at) where event = 'instance_refused';

create function forbid_change() returns trigger language plpgsql as $$
begin
    raise exception 'table % is append-only: % is not allowed', tg_table_name, lower(tg_op)
        using errcode = 'insufficient_privilege';
end
$$;
create trigger reviews_append_only before update or delete or truncate on reviews
    for each statement execute function forbid_change();
create trigger audit_append_only before update or delete or truncate on audit
    for each statement execute function forbid_change();

-- Structures and results of a case are written once, with the case's result.
create trigger structures_written_once before update or delete or truncate on structures
    for each statement execute function forbid_change();
create trigger results_written_once before update or delete or truncate on results
    for each statement execute function forbid_change();

-- An undelivered result is never forgotten.
create trigger outbox_never_deleted before delete or truncate on outbox
    for each statement execute function forbid_change();
