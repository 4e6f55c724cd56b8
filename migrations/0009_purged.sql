-- What the rules of keeping deleted: first marked, then the files go, then it is noted that they are gone, so that a crash
-- in between is finished later. The rows stay, without patient: a series that comes again is still known.
alter table cases
    add column purged_at timestamptz,
    add column files_gone_at timestamptz,
    add check (files_gone_at is null or purged_at is not null);
