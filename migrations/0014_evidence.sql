-- When a series is complete is judged by what its images say, too: where each lies, and how many there are.
alter table instances
    add column place double precision,                    -- mm along the normal of its plane; null: the header says none
    add column normal text,                               -- that normal, rounded: images of one stack have the same
    add column announced integer,                         -- Images in Acquisition (0020,1002)
    add column acquisition integer;                       -- Acquisition Number (0020,0012)
create index commitment_requests_by_caller on commitment_requests (calling_ae, asked_at);
