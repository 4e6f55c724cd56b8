-- A report in the study about why there are no contours.
alter table results
    drop constraint results_kind_check,
    add constraint results_kind_check check (kind in ('derived_image', 'structure_set', 'segmentation', 'notice'));
