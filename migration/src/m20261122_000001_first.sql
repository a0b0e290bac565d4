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
  domain text not null, -- The domain, in lower-case A-labels.
  revision bigint not null, -- Grows with every change of what lists say; consumers keep the highest.
  created_at {time} not null, -- When it was first heard of.
  erased_at {time}, -- When the plain address was erased.
  constraint subject_id_is_16_octets check ({octets}(id) = 16),
  constraint an_erased_subject_has_no_address check ((address is null) = (erased_at is not null))
);

create table receipt ( -- What came in, as it came.
  id {uuid} not null primary key, -- Version 7.
  source text not null, -- Name of the source it came by.
  digest {bytes} not null, -- SHA-256 of the raw bytes, and of the list where the API names it.
  list_id {uuid} not null references suppression_list (id), -- The list it was taken in for.
  received_at {time} not null, -- When it was accepted.
  media_type text not null, -- Content type as announced, without parameters.
  size bigint not null, -- Octets before compression.
  body {bytes}, -- The raw bytes, zstd; null where nothing needs them again.
  state text not null, -- processed, unrecognised or quarantined.
  error text, -- Why it is not processed; no addresses.
  attribution text not null, -- unattributed, authenticated, signed or attributed.
  constraint receipt_digest_is_32_octets check ({octets}(digest) = 32),
  constraint the_same_bytes_from_a_source_are_one_receipt unique (digest, source),
  constraint receipt_state_is_known check (state in ('processed', 'unrecognised', 'quarantined')),
  constraint receipt_attribution_is_known check (attribution in ('unattributed', 'authenticated', 'signed', 'attributed'))
);

create table event ( -- Recorded facts: one failure, complaint or wish of one subject. Copies merge into it.
  id {uuid} not null primary key, -- Version 7; `data.event_id` of every message about it.
  position bigint not null, -- Place in the feed: changes with every merge.
  receipt_id {uuid} not null references receipt (id), -- The receipt with the strongest evidence.
  list_id {uuid} not null references suppression_list (id), -- The list it was said about.
  boundary_id {uuid} not null references suppression_list (id), -- Root of that list.
  subject_id {bytes} not null references subject (id), -- Whom it is about.
  fact_key {bytes} not null, -- The smallest of its keys; breaks ties in time.
  merged_into {uuid} references event (id), -- Set when a later copy showed that two events are one.
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

create table delivery ( -- The two newest deliveries of a subject; older ones can change nothing.
  boundary_id {uuid} not null references suppression_list (id), -- Root of the list it was sent for.
  subject_id {bytes} not null references subject (id), -- To whom.
  message_keys {bytes} not null, -- Keys of the message, 16 octets each, smallest first.
  occurred_at {time} not null, -- When it arrived.
  primary key (subject_id, boundary_id, message_keys)
);

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
  change text not null, -- act (a person's word, by itself no change), added, updated or released.
  cause text, -- The cause that changed; of an act the one it names, if it does.
  reason text, -- Reason of the deciding fact.
  event_id {uuid} references event (id), -- The event that led to it.
  act text, -- What the person did.
  actor text not null, -- Name of the API key, or rebound.
  note text, -- Why, in the person's words.
  provisional boolean not null, -- Whether another day must confirm it.
  since {time}, -- Since when it stands.
  expires_at {time}, -- When it ends by itself.
  released_at {time}, -- When it was lifted.
  revision bigint not null, -- Revision of the subject.
  import_id {uuid}, -- Import or bulk request it belongs to.
  at {time} not null, -- When it was recorded; the time of an act.
  constraint change_is_known check (change in ('act', 'added', 'updated', 'released')),
  constraint an_act_has_a_word check ((change = 'act') = (act is not null)),
  constraint a_change_has_a_cause check (change = 'act' or cause is not null)
);
create index suppression_change_by_position on suppression_change (position, id);
create index suppression_change_by_subject on suppression_change (subject_id, boundary_id, at);

create table outbox ( -- Messages on their way to the broker; a row goes when its message is confirmed and routed.
  sequence {serial}, -- Order of publication.
  message_id {uuid} not null, -- Id of the CloudEvent; stable over retries.
  message_type text not null, -- rebound.event.recorded or rebound.suppression.changed.
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
