-- Cases that are held for a person: their contours are kept and shown, and nothing of them is sent before it is released.
alter table cases
    drop constraint cases_state_check,
    add constraint cases_state_check check (state in
        ('receiving', 'queued', 'segmenting', 'held', 'delivering', 'delivered', 'refused', 'failed', 'superseded')),
    add column held_at timestamptz;     -- stays when it is released

-- Where a result goes, also while nothing of it is in the outbox.
alter table results add column destinations text[] not null default '{}';

-- Who let a held case go, and why. Once, and for good.
create table releases (
    case_id uuid primary key references cases,
    released_by text not null check (length(released_by) between 1 and 200),
    reason text not null check (length(reason) between 1 and 4000),
    made_at timestamptz not null default now()
);
create trigger releases_append_only before update or delete or truncate on releases
    for each statement execute function forbid_change();
