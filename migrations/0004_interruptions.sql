-- Attempts that ended with the daemon itself (killed, power cut) are no attempts of the case's own: counted apart.
alter table jobs add column interruptions integer not null default 0;
