-- Planning CT: beside the MR series that are contoured, a route may keep the CTs of a study and the registrations between
-- their frames of reference. Each such series is a case of its own that ends as 'kept', or refused with the reason.
alter table cases
    drop constraint cases_state_check,
    add constraint cases_state_check check (state in
        ('receiving', 'queued', 'segmenting', 'held', 'delivering', 'delivered', 'sent', 'kept', 'refused', 'failed',
         'superseded')),
    add column role text not null default 'contours' check (role in ('contours', 'planning_ct', 'registration'));
create index cases_to_plan_on on cases (study_uid) where role <> 'contours';

-- A structure set of the MR on the planes of a CT; a newer registration makes another one on the same CT.
alter table results
    drop constraint results_kind_check,
    add constraint results_kind_check check
        (kind in ('derived_image', 'structure_set', 'segmentation', 'notice', 'planning_set')),
    add column on_series text,                            -- the CT
    add check ((kind = 'planning_set') = (on_series is not null));
drop index results_one_of_a_kind;
create unique index results_one_of_a_kind on results (case_id, profile, kind)
    where kind not in ('derived_image', 'planning_set');

-- What became of a contoured case on a CT, by the registrations that were there: others are looked at anew.
create table plannings (
    case_id uuid not null references cases,
    ct_case uuid not null references cases,
    considered uuid[] not null,                           -- the kept registration cases of the study
    state text not null default 'under_way' check (state in ('under_way', 'made', 'waiting', 'refused', 'failed')),
    outcome text,                                         -- in words; null before the first attempt ended
    detail jsonb not null default '{}',
    made_with text,                                       -- registration of the latest set; '' for one frame; null: no set
    attempts integer not null default 1,
    asked_at timestamptz not null default now(),          -- dates the set: the same over attempts
    not_before timestamptz not null default now(),
    primary key (case_id, ct_case)
);
