-- What refers to an event, found by the event: each one that goes has all of these looked through.
create index event_by_heir on event (merged_into) where merged_into is not null;
create index suppression_by_event on suppression (event_id) where event_id is not null;
create index suppression_change_by_event on suppression_change (event_id) where event_id is not null;
-- The same of an address that goes.
create index import_repeat_by_subject on import_repeat (subject_id);
