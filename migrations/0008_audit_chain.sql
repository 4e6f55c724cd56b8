-- The audit trail as a chain: each line carries a digest over itself and the digest before it, so that a line that is
-- changed or removed shows. Who may write here can also write the whole chain anew: the digest of the last line is in every
-- message to syslog (service/audit), and a chain that lacks it was cut or rewritten.

create table audit_chain (
    position bigint primary key check (position >= 1),
    audit_id bigint not null unique,
    hash bytea not null check (length(hash) = 32)
);

-- What is digested; store/audit.rs computes the same outside the database.
create function audit_hash(before bytea, line audit) returns bytea language sql immutable as $$
    select sha256(before || convert_to(concat_ws(E'\x1f', line.id::text, (extract(epoch from line.at) * 1000000)::bigint::text,
                                                 line.event, coalesce(line.case_id::text, ''), line.detail::text), 'UTF8'))
$$;

create function chain_audit() returns trigger language plpgsql as $$
declare
    last audit_chain;
begin
    -- Runs at the commit, when a transaction takes no other locks any more: nobody can wait for it in a circle.
    perform pg_advisory_xact_lock(7246351);
    select * into last from audit_chain order by position desc limit 1;
    insert into audit_chain
    values (coalesce(last.position, 0) + 1, new.id, audit_hash(coalesce(last.hash, ''), new));
    return null;
end
$$;
create constraint trigger audit_chained after insert on audit deferrable initially deferred
    for each row execute function chain_audit();

-- Lines from before this version, in their order.
do $$
declare
    line audit;
    last bytea := '';
    n bigint := 0;
begin
    for line in select * from audit order by id loop
        n := n + 1;
        last := audit_hash(last, line);
        insert into audit_chain values (n, line.id, last);
    end loop;
end
$$;

create trigger audit_chain_append_only before update or delete or truncate on audit_chain
    for each statement execute function forbid_change();

-- Up to which line of the chain each receiver has messages.
create table audit_sent (
    receiver text primary key,
    position bigint not null check (position >= 0)
);
