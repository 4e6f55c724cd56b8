-- An object that a destination accepted is not yet an object that it keeps: confirmed by its storage commitment, or because a
-- query finds it there. What was accepted before this is 'none': nobody asked.
alter table outbox
    add column confirmation text not null default 'none'
        check (confirmation in ('none', 'awaited', 'committed', 'found')),
    add column confirm_at timestamptz,                    -- when to ask next
    add column asks integer not null default 0,           -- since it was last sent, in the way of now
    add column by_query boolean not null default false,   -- it does not commit this: a query is asked instead
    add column resends integer not null default 0,        -- because it was accepted and is not there
    add check (confirmation = 'none' or state = 'accepted'),
    add check ((confirmation = 'awaited') = (confirm_at is not null));
create index outbox_awaited on outbox (destination, confirm_at) where confirmation = 'awaited';

-- 'sent': every destination accepted everything, and at least one of them neither commits nor can be asked.
alter table cases
    drop constraint cases_state_check,
    add constraint cases_state_check check (state in
        ('receiving', 'queued', 'segmenting', 'held', 'delivering', 'delivered', 'sent', 'refused', 'failed', 'superseded'));

-- Storage commitments that destinations were asked for. Kept for good: an answer may come late, and on any association.
create table commitments (
    transaction_uid text primary key,
    destination text not null,
    case_id uuid not null references cases,
    outbox_ids bigint[] not null,
    asked_at timestamptz not null default now(),
    answered_at timestamptz
);

-- Storage commitments that peers asked for, until they were told.
create table commitment_requests (
    calling_ae text not null,
    transaction_uid text not null,
    instances jsonb not null,                             -- [[SOP class UID, SOP Instance UID], ...]
    asked_at timestamptz not null default now(),
    next_attempt_at timestamptz not null,                 -- infinity: given up
    attempts integer not null default 0,
    last_error text,
    told_at timestamptz,
    primary key (calling_ae, transaction_uid)
);
create index commitment_requests_open on commitment_requests (next_attempt_at) where told_at is null;

-- Series whose missing images were asked for at the [[source]] systems: once, for what is nowhere must not be asked for for ever.
create table fetches (
    series_uid text primary key,
    case_id uuid not null references cases,
    asked_at timestamptz not null default now(),
    outcome text                                          -- in words; null while it is under way
);
