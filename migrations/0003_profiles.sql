-- Results for each destination profile: a structure set of its own, perhaps a DICOM Segmentation beside it.
alter table results
    drop constraint results_kind_check,
    add constraint results_kind_check check (kind in ('derived_image', 'structure_set', 'segmentation')),
    add column profile text not null default 'generic';
drop index results_one_structure_set;
create unique index results_one_of_a_kind on results (case_id, profile, kind) where kind <> 'derived_image';
