-- The first schema. One text for Postgres and SQLite: {uuid} {bytes} {time} {serial} {octets} stand for what they call
-- these. The comment behind a column becomes its comment in Postgres; SQLite keeps this text as it is.

create table suppression_list ( -- Lists, as a tree by dotted name. A list never moves.
  id {uuid} not null primary key, -- Version 7, so in the order of creation.
  name text not null, -- Dotted name, lower case; acme.weekly is a child of acme.
  parent_id {uuid} references suppression_list (id), -- The list above; null for a root.
  boundary_id {uuid} not null references suppression_list (id), -- The root of the tree; facts never cross it.
  honours text, -- JSON array of the automatic causes that block here; null for all.
  created_at {time} not null, -- When it was created.
  constraint list_name_is_unique unique (name),
  constraint list_name_is_at_most_150_octets check (length(name) between 1 and 150),
  constraint a_root_is_its_own_boundary check ((parent_id is null) = (boundary_id = id))
);

create table subject ( -- Addresses and domain entries by pseudonymous id. Beside receipts the only table with addresses in plain.
  id {bytes} not null primary key, -- First 16 octets of HMAC-SHA256(pepper, normalised address).
  address text, -- The normalised address, or @domain for a domain entry; null once erased.
  domain text not null, -- The domain, in lower-case A-labels; empty once erased.
  revision bigint not null, -- Grows with every change of what lists say; consumers keep the highest.
  created_at {time} not null, -- When it was first heard of.
  erased_at {time}, -- When the plain address was erased; null again if it had to be stored anew.
  constraint subject_id_is_16_octets check ({octets}(id) = 16),
  constraint an_erased_subject_has_no_address check ((address is null) = (erased_at is not null))
);

create table receipt ( -- What came in, as it came.
  id {uuid} not null primary key, -- Version 7.
  source text not null, -- Name of the source it came by.
  digest {bytes} not null, -- SHA-256 of the raw bytes, and of the list where the API names it.
  list_id {uuid} not null references suppression_list (id), -- The list it was taken in for.
  received_at {time} not null, -- When it was accepted.
  media_type text not null, -- Content type as announced, with its parameters.
  size bigint not null, -- Octets before compression.
  body {bytes}, -- The raw bytes, zstd; null once they were erased or old enough to go.
  state text not null, -- processed, unrecognised or quarantined.
  error text, -- Why it is not processed; no addresses.
  attribution text not null, -- unattributed, authenticated, signed or attributed.
  constraint receipt_digest_is_32_octets check ({octets}(digest) = 32),
  constraint the_same_bytes_from_a_source_are_one_receipt unique (digest, source),
  constraint receipt_state_is_known check (state in ('processed', 'unrecognised', 'quarantined')),
  constraint receipt_attribution_is_known check (attribution in ('unattributed', 'authenticated', 'signed', 'attributed'))
);
create index receipt_with_body on receipt (state, received_at) where body is not null;

create table event ( -- Recorded facts: one failure, complaint or wish of one subject. Copies merge into it.
  id {uuid} not null primary key, -- Version 7; `data.event_id` of every message about it.
  position bigint not null, -- Place in the feed: changes with every merge.
  receipt_id {uuid} not null references receipt (id), -- The receipt with the strongest evidence.
  list_id {uuid} not null references suppression_list (id), -- The list it was said about.
  boundary_id {uuid} not null references suppression_list (id), -- Root of that list.
  subject_id {bytes} not null references subject (id), -- Whom it is about.
  fact_key {bytes} not null, -- The smallest of its keys; breaks ties in time.
  merged_into {uuid} references event (id), -- Set when a later copy showed that two events are one.
  withdrawn_at {time}, -- Set when its receipts were read again and no longer said it.
  source text not null, -- Source of the strongest evidence.
  kind text not null, -- bounce, delayed, complaint, unsubscribe, suppressed, rejected, auto_reply, challenge_response, mdn.
  bounce_type text, -- hard or soft.
  reason text, -- One of the 34 reasons.
  fault text, -- Who has to act.
  status text, -- Enhanced status, RFC 3463.
  reply smallint, -- SMTP reply code, RFC 5321.
  stage text, -- SMTP command that was refused.
  diagnostic text, -- What the receiver said.
  feedback_type text, -- Of a complaint: its Feedback-Type, RFC 5965.
  reporting_mta text, -- Host that tried.
  remote_mta text, -- Host that refused.
  message_id text, -- Message-ID of the message, without brackets.
  provider_event_id text, -- The provider's id of the event.
  attribution text not null, -- How well it is tied to somebody who may state it.
  weight text not null, -- none, provisional or full: how much it may do to lists.
  evidence text not null, -- Sort key of the evidence; a copy with a greater one replaces the columns above.
  rule text not null, -- Rule that decided.
  rules_version text not null, -- Version of the rules that decided.
  occurred_at {time} not null, -- When it happened, the earliest of all copies, never after it was received.
  received_at {time} not null, -- When the first copy was received.
  constraint event_kind_is_known check (kind in ('bounce', 'delayed', 'complaint', 'unsubscribe', 'suppressed', 'rejected', 'auto_reply', 'challenge_response', 'mdn')),
  constraint a_bounce_is_hard_or_soft check (kind <> 'bounce' or bounce_type is not null),
  constraint event_bounce_type_is_known check (bounce_type in ('hard', 'soft')),
  constraint event_attribution_is_known check (attribution in ('unattributed', 'authenticated', 'signed', 'attributed')),
  constraint event_weight_is_known check (weight in ('none', 'provisional', 'full')),
  constraint event_fact_key_is_16_octets check ({octets}(fact_key) = 16)
);
create index event_by_subject on event (subject_id, boundary_id, occurred_at);
create index event_by_position on event (position, id);
create index event_by_receipt on event (receipt_id);

create table event_key ( -- Keys under which an event is known, so that copies find it.
  key {bytes} not null primary key, -- HMAC(pepper, boundary, subject, kind, message key), 16 octets.
  event_id {uuid} not null references event (id), -- The event.
  constraint event_key_is_16_octets check ({octets}(key) = 16)
);
create index event_key_by_event on event_key (event_id);

create table event_copy ( -- Receipts that told of an event beside the one it names: what erasing and reading again must find.
  event_id {uuid} not null references event (id), -- The event.
  receipt_id {uuid} not null references receipt (id), -- A receipt whose evidence was not the strongest.
  primary key (event_id, receipt_id)
);
create index event_copy_by_receipt on event_copy (receipt_id);

create table delivery ( -- The two newest deliveries of a subject; older ones can change nothing.
  boundary_id {uuid} not null references suppression_list (id), -- Root of the list it was sent for.
  subject_id {bytes} not null references subject (id), -- To whom.
  message_keys {bytes} not null, -- Keys of the message, 16 octets each, smallest first.
  occurred_at {time} not null, -- When it arrived.
  receipt_id {uuid} references receipt (id), -- The receipt that told of it, where that is kept.
  primary key (subject_id, boundary_id, message_keys)
);
create index delivery_by_receipt on delivery (receipt_id) where receipt_id is not null;

create table suppression ( -- What lists say: one row per subject, list and cause, so that facts stand side by side.
  subject_id {bytes} not null references subject (id), -- Whom.
  list_id {uuid} not null references suppression_list (id), -- Where.
  cause text not null, -- hard, soft, complaint, unsubscribe, provider, import, manual_block or manual_allow.
  reason text, -- Reason of the deciding fact.
  event_id {uuid} references event (id), -- The deciding event; null for people's acts.
  note text, -- What the person said of it.
  overrides_consent boolean not null, -- Of a manual allow: whether complaint and unsubscribe yield to it.
  provisional boolean not null, -- Whether another day must confirm it.
  since {time} not null, -- Since when it stands.
  expires_at {time}, -- When it ends by itself; null for never.
  released_at {time}, -- When it was lifted.
  revision bigint not null, -- Revision of the subject at the last change.
  constraint one_row_per_subject_list_and_cause primary key (subject_id, list_id, cause),
  constraint suppression_cause_is_known check (cause in ('hard', 'soft', 'complaint', 'unsubscribe', 'provider', 'import', 'manual_block', 'manual_allow')),
  constraint only_a_manual_allow_overrides_consent check (not overrides_consent or cause = 'manual_allow'),
  constraint what_is_provisional_ends check (not provisional or expires_at is not null)
);
create index suppression_by_list on suppression (list_id, subject_id);

create table suppression_change ( -- Append-only audit: every change of what a list says, and every act of a person.
  id {uuid} not null primary key, -- Version 7; the id of the published message.
  position bigint not null, -- Place in the feed.
  subject_id {bytes} not null references subject (id), -- Whom.
  list_id {uuid} not null references suppression_list (id), -- Where.
  boundary_id {uuid} not null references suppression_list (id), -- Root of that list.
  change text not null, -- act (a person's word, by itself no change), added, updated, released, erased or forgotten.
  cause text, -- The cause that changed, or that an act names, as every import does; null for an erasure.
  reason text, -- Reason of the deciding fact.
  event_id {uuid} references event (id), -- The event that led to it.
  act text, -- What the person did.
  actor text not null, -- Name of the API key, or rebound.
  note text, -- Why, in the person's words.
  provisional boolean not null, -- Whether another day must confirm it.
  overrides_consent boolean not null, -- Of a manual allow: whether complaint and unsubscribe yield to it.
  since {time}, -- Since when it stands.
  expires_at {time}, -- When it ends by itself.
  released_at {time}, -- When it was lifted.
  revision bigint not null, -- Revision of the subject.
  import_id {uuid}, -- Import or bulk request it belongs to.
  at {time} not null, -- When it was recorded; the time of an act.
  constraint change_is_known check (change in ('act', 'added', 'updated', 'released', 'erased', 'forgotten')),
  constraint an_act_has_a_word check ((change = 'act') = (act is not null)),
  constraint a_change_has_a_cause check (case when change in ('erased', 'forgotten') then cause is null when change = 'act' then act <> 'import' or cause is not null else cause is not null end),
  constraint what_is_imported_names_its_import check (act is null or act <> 'import' or import_id is not null)
);
create index suppression_change_by_position on suppression_change (position, id);
create index suppression_change_by_subject on suppression_change (subject_id, boundary_id, at);
create index suppression_change_by_import on suppression_change (import_id, subject_id) where import_id is not null;

create table import ( -- Lists that were imported, or looked at before.
  id {uuid} not null primary key, -- Version 7; import_id of every change it led to.
  list_id {uuid} not null references suppression_list (id), -- The list it was imported into.
  actor text not null, -- Name of the API key, or of the command.
  format text not null, -- How it was written: csv, ndjson, ses, sendgrid, mailgun, postmark, sparkpost or plain.
  digest {bytes} not null, -- SHA-256 of the file and of how it was to be read.
  mode text not null, -- real, or preview: nothing was written.
  state text not null, -- running, completed, failed, undoing or undone.
  error text, -- Why it failed; no addresses.
  size bigint not null, -- Octets of the file.
  done bigint not null, -- Octets read so far.
  added bigint not null, -- Rows that began to block or allow.
  updated bigint not null, -- Rows that changed what stood there.
  unchanged bigint not null, -- Rows that changed nothing.
  refused bigint not null, -- Lines that were not taken.
  created_at {time} not null, -- When it began.
  updated_at {time} not null, -- When it last went on.
  ended_at {time}, -- When it was completed, or failed, or was undone.
  undone_by text, -- Who undid it.
  constraint import_mode_is_known check (mode in ('real', 'preview')),
  constraint import_state_is_known check (state in ('running', 'completed', 'failed', 'undoing', 'undone')),
  constraint only_what_was_imported_is_undone check (mode = 'real' or state not in ('undoing', 'undone')),
  constraint import_digest_is_32_octets check ({octets}(digest) = 32)
);
create index import_by_list on import (list_id, id);

create table import_repeat ( -- Rows that an import brought again: they hold as long as any import that says so does.
  import_id {uuid} not null references import (id), -- The later import.
  subject_id {bytes} not null references subject (id), -- Whom.
  change_id {uuid} not null, -- The act of the import that said so first.
  primary key (import_id, subject_id, change_id)
);
create index import_repeat_by_change on import_repeat (change_id);

create table import_refusal ( -- Lines that an import did not take. The text of the line is not kept.
  import_id {uuid} not null references import (id), -- The import.
  line bigint not null, -- The number of the line, the first being 1.
  error text not null, -- Why it was not taken; no addresses.
  primary key (import_id, line)
);

create table outbox ( -- Messages on their way to the broker; a row goes when its message is confirmed and routed.
  sequence {serial}, -- Order of publication.
  message_id {uuid} not null, -- Id of the CloudEvent; stable over retries.
  message_type text not null, -- rebound.event.recorded, rebound.suppression.changed, rebound.import.completed and their like.
  routing_key text not null, -- Routing key.
  payload text not null, -- CloudEvents 1.0 JSON.
  attempts integer not null, -- Returns and nacks so far; an outage is not an attempt.
  last_error text, -- What the broker said last.
  not_before {time}, -- Not to be tried again before.
  created_at {time} not null, -- When it was written.
  constraint attempts_are_not_negative check (attempts >= 0)
);

create table api_key ( -- Keys of the API. The secret itself is not kept.
  id {uuid} not null primary key, -- Version 7.
  name text not null, -- For people; the actor in the audit.
  prefix text not null, -- First characters of the key, to tell keys apart.
  hash {bytes} not null, -- SHA-256 of the key.
  scopes text not null, -- JSON array of read, write, ingest, admin.
  list_id {uuid} references suppression_list (id), -- Only this list and those below; null for all.
  created_at {time} not null, -- When it was made.
  expires_at {time}, -- When it ends.
  revoked_at {time}, -- When it was revoked.
  rate_limit integer, -- Requests a minute it may make; null for what the configuration says.
  last_used_at {time}, -- When it was last used, to the minute.
  constraint a_key_may_make_a_request check (rate_limit > 0),
  constraint key_hash_is_unique unique (hash),
  constraint key_hash_is_32_octets check ({octets}(hash) = 32),
  constraint key_name_is_unique unique (name)
);

create table session ( -- Sessions of the console.
  hash {bytes} not null primary key, -- SHA-256 of the cookie.
  api_key_id {uuid} not null references api_key (id), -- Key that opened it.
  created_at {time} not null, -- When.
  expires_at {time} not null -- When it ends.
);

create table seen_token ( -- Single-use tokens of providers that were used.
  source text not null, -- Source they came by.
  token {bytes} not null, -- SHA-256 of the token.
  digest {bytes} not null, -- SHA-256 of the body it proved.
  seen_at {time} not null, -- When.
  primary key (source, token)
);

create table setting ( -- Facts about this instance.
  name text not null primary key, -- Which.
  value text not null -- What.
);
