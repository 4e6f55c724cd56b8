-- Structure sets of a study that others made: kept beside the contours, and asked for where a route wants them.
alter table cases
    drop constraint cases_role_check,
    add constraint cases_role_check check (role in ('contours', 'planning_ct', 'registration', 'structure_set'));

-- What each of them says of itself.
create table prior_sets (
    sop_instance_uid text primary key references instances,
    case_id uuid not null references cases,
    label text not null,
    approval text not null,                               -- Approval Status; '' where it says none
    made text not null,                                   -- Structure Set Date and Time as written
    maker text not null,                                  -- Manufacturer and its model name
    rois integer not null,
    drawn_on text,                                        -- the series that it refers to
    frame_uid text                                        -- its frame of reference
);
create index prior_sets_by_case on prior_sets (case_id);

-- Cases whose study was asked for them at the sources, once each.
create table prior_fetches (
    case_id uuid primary key references cases,
    asked_at timestamptz not null default now(),
    outcome text,                                         -- in words; null while it is under way
    failed boolean not null default false                 -- a source could not be asked: it is asked again
);
