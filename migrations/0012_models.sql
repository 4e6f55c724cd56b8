-- Several models side by side: a series has a case of its own for each model of its route, with job, structures, results and
-- reviews. The first (sibling 0) receives the images; the others are opened beside it when the series is complete.
alter table instances drop constraint instances_series_uid_revision_fkey;
alter table cases
    drop constraint cases_series_uid_revision_key,
    add column models text[] not null default '{}',     -- of the route when the series came; none: the default model
    add column sibling smallint not null default 0 check (sibling >= 0),
    add constraint cases_one_of_a_kind unique (series_uid, revision, sibling);
alter table instances
    add column sibling smallint not null default 0 check (sibling = 0),
    add constraint instances_of_a_case
        foreign key (series_uid, revision, sibling) references cases (series_uid, revision, sibling);
