-- Which of the cases that wait is segmented first: higher before lower.
alter table cases add column priority smallint not null default 5 check (priority between 0 and 9);

-- What the routes said of each series, by the header of its first instance: one way (who sent it, under which title), one
-- set of routes. Later instances follow, also over restarts; other routes are asked anew.
create table routings (
    series_uid text not null,
    calling_ae text not null,
    called_ae text not null,
    routes_digest text not null,
    route text,                         -- none: no route wants the series, and nothing of it is kept
    refused boolean not null,           -- what a series that no route wants is answered: refused, or taken as seen
    priority smallint not null check (priority between 0 and 9),
    modality text not null,
    series_description text not null,
    reasons text[] not null,            -- what was recognised, what each route said; no text that people typed
    instances bigint not null default 0,-- how many objects came of a series that no route wants, each time counted
    first_at timestamptz not null default now(),
    latest_at timestamptz not null default now(),
    primary key (series_uid, calling_ae, called_ae, routes_digest),
    check (not refused or route is null)
);
create index routings_unwanted on routings (latest_at) where route is null;
