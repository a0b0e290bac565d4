//! No page of the console reads a large table from end to end, however little of it fits: the statements are those that the pages send, on
//! more rows than a page looks at, and Postgres itself counts what it fetched.

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, Kind};
use bounce::policy::{Act, Cause};
use service::store::{ActRequest, EventFilter, EventId, ReceiptState, StandingFilter, Store, Visible, Whence};
use time::{Duration, OffsetDateTime, macros::datetime};

use crate::plans::Filled;

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

/// Rows of the tables that pages look through, in the order of time: 160,000 events of a month, as many addresses and entries, 60,000
/// receipts and messages. What pages filter by is rare, and old where it is there at all.
const FILL: &str = "
    create function pg_temp.v7(at timestamptz, i bigint) returns uuid language sql immutable as $$
        select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3)
            || '8' || substr(md5(i::text), 5, 15))::uuid $$;
    create temp view list as select id from suppression_list where name = 'acme';
    insert into subject select substr(sha256(i::text::bytea), 1, 16), 'a' || i || '@d' || i % 900 || '.example', 'd' || i % 900 || '.example',
        1, now(), null from generate_series(1, 160000) i;
    insert into receipt select pg_temp.v7(at, i), case when i < 20 then 'old' else 'ses' end, sha256(('r' || i)::bytea), list.id, at,
        'message/rfc822', 3, 'abc', case when i < 200 then 'quarantined' when i % 3 = 0 then 'unrecognised' else 'processed' end, null, 'signed'
        from (select i, timestamptz '2026-11-22 10:00Z' - (60000 - i) * interval '43 seconds' as at from generate_series(1, 60000) i) as it, list;
    insert into event select pg_temp.v7(at, i), i, (select id from receipt limit 1), list.id, list.id, substr(sha256(i::text::bytea), 1, 16),
        substr(sha256(('k' || i)::bytea), 1, 16), null, null, case when i < 1000 then 'old' else 'ses' end,
        case when i < 1000 then 'complaint' else 'bounce' end, 'hard', case when i = 1000 then 'dnsbl_listed' else 'user_unknown' end,
        case when i = 1000 then 'reputation' else 'recipient' end, '5.1.1', 550, null, '550 5.1.1 no such user', null, null, null, null, null,
        'signed', 'full', '4', 'code', '1', at, at
        from (select i, timestamptz '2026-11-22 10:00Z' - (160000 - i) * interval '16 seconds' as at from generate_series(1, 160000) i) as it, list;
    insert into event_key select fact_key, id from event;
    insert into suppression select id, (select id from list), case when id > '\\xff' then 'complaint' else 'hard' end, 'user_unknown', null, null,
        false, false, now(), null, case when id < '\\xf0' then now() end, 1 from subject;
    insert into suppression_change select pg_temp.v7(now(), row_number() over ()), 1, subject.id, list.id, list.id, 'added', 'hard', 'user_unknown', null,
        null, 'rebound', null, false, false, now(), null, null, 1, null, now() from subject, list;
    insert into outbox (message_id, message_type, routing_key, payload, attempts, created_at)
        select gen_random_uuid(), 'rebound.event.recorded', 'event', '{}', case when i > 59000 then 1 else 0 end, now() from generate_series(1, 60000) i";

/// What somebody sees who sees everything, and somebody who sees the list that everything is of.
async fn seen(store: &Store) -> [Visible; 2] {
    [Visible::All, Visible::Below(store.list("acme").await.unwrap())]
}

/// More often than Postgres tries plans of its own before it keeps one.
const OFTEN: usize = 8;
/// What a page of events takes to find where its look ends; from the index alone, but where no vacuum could say that all see all rows.
const OF_THE_END: i64 = 51_000;
/// What a page of events looks at: so many rows to find where its look ends, and the same to see which of them fit.
const OF_EVENTS: i64 = 101_000;
/// The same of a page of a list.
const OF_ENTRIES: i64 = 40_500;

#[tokio::test]
async fn pages_find_by_index_and_look_at_so_many_rows_and_no_more() {
    let filled = Filled::with(FILL).await;
    let often = |most: i64| most * i64::try_from(OFTEN).unwrap();

    let day = NOW - Duration::DAY;
    filled
        .work_within("event", often(7000), async |store, _| {
            for visible in seen(&store).await.iter().cycle().take(OFTEN) {
                let counted: u64 = store.figures(day, NOW, visible).await.unwrap().iter().map(|it| it.count).sum();
                assert_eq!(counted, 24 * 3600 / 16, "a day of them");
            }
        })
        .await;
    filled
        .work_within("subject", often(OF_EVENTS), async |store, _| {
            for visible in seen(&store).await.iter().cycle().take(OFTEN) {
                let found = store.receivers(NOW - Duration::days(30), visible, 10).await.unwrap();
                assert_eq!((found.len(), found[0].1), (10, 23), "the newest 20,000 of 900 domains");
            }
        })
        .await;
    filled
        .work_within("receipt", often(11_000), async |store, _| {
            for _ in 0..OFTEN {
                assert_eq!(store.source_figures().await.unwrap().len(), 1);
            }
        })
        .await;
    filled
        .work_within("event", often(OF_EVENTS), async |store, _| {
            for visible in seen(&store).await.iter().cycle().take(OFTEN) {
                let found = store.senders_faults(NOW - Duration::days(30), visible, 2000).await.unwrap();
                assert_eq!(found.len(), 0, "the only one is older than the look goes");
            }
        })
        .await;
}

#[tokio::test]
async fn events_are_looked_through_by_index() {
    let filled = Filled::with(FILL).await;
    let rare = [
        EventFilter { kind: Some(Kind::Complaint), ..EventFilter::default() },
        EventFilter { reason: Some(Reason::DnsblListed), since: Some(NOW - Duration::days(30)), ..EventFilter::default() },
        EventFilter { source: Some("old".to_owned()), ..EventFilter::default() },
        EventFilter { attribution: Some(Attribution::Attributed), ..EventFilter::default() },
        EventFilter { domain: Some("nowhere.example".to_owned()), ..EventFilter::default() },
        EventFilter { domain: Some("d7.example".to_owned()), kind: Some(Kind::Complaint), ..EventFilter::default() },
    ];
    for filter in &rare {
        filled
            .work_within("event", OF_EVENTS * 8, async |store, _| {
                for visible in seen(&store).await.iter().cycle().take(OFTEN) {
                    let page = store.browse_events(filter, visible, 50).await.unwrap();
                    assert!(page.items.is_empty() && page.next.is_some(), "{filter:?}: {page:?}");
                }
            })
            .await;
    }
    filled
        .work_within("event", OF_THE_END * 8, async |store, _| {
            let mut before: Option<EventId> = None;
            for visible in seen(&store).await.iter().cycle().take(OFTEN) {
                let filter = EventFilter { before, ..EventFilter::default() };
                let page = store.browse_events(&filter, visible, 50).await.unwrap();
                assert_eq!(page.items.len(), 50);
                before = page.next;
                assert!(store.event(before.unwrap()).await.unwrap().is_some());
            }
        })
        .await;
    filled
        .work_within("event", OF_EVENTS * 8, async |store, _| {
            // What is old is found on the pages behind.
            let (mut before, mut found) = (None, 0);
            for _ in 0..4 {
                let filter =
                    EventFilter { domain: Some("d7.example".to_owned()), kind: Some(Kind::Complaint), before, ..EventFilter::default() };
                let page = store.browse_events(&filter, &Visible::All, 50).await.unwrap();
                (before, found) = (page.next, found + page.items.len());
            }
            assert_eq!((before, found), (None, 2));
        })
        .await;
}

#[tokio::test]
async fn entries_addresses_and_what_waits_are_found_by_index() {
    let filled = Filled::with(FILL).await;
    for filter in [
        StandingFilter { holds: Some(true), ..StandingFilter::default() },
        StandingFilter { cause: Some(Cause::Complaint), whence: Whence::Lineage, ..StandingFilter::default() },
        StandingFilter { reason: Some(Reason::MailboxFull), holds: Some(true), ..StandingFilter::default() },
    ] {
        filled
            .work_within("suppression", OF_ENTRIES * 8, async |store, list| {
                let mut after = None;
                for _ in 0..OFTEN - 1 {
                    let page = store.browse_standing(&list, filter, after, 50, NOW).await.unwrap();
                    assert!(page.items.is_empty() && page.next.is_some(), "{filter:?}: {page:?}");
                    after = page.next;
                }
                let last = store.browse_standing(&list, filter, after, 50, NOW).await.unwrap();
                assert!(last.items.len() == 50 || filter.reason.is_some(), "what fits comes last: {last:?}");
            })
            .await;
    }
    filled
        .work_within("suppression_change", 1000, async |store, list| {
            for it in 0..OFTEN {
                let address = Address::parse(&format!("told{it}@told.example")).unwrap();
                let act = [Act::Block.into()];
                let request = ActRequest { list: list.clone(), address: &address, acts: &act, actor: "tester", note: None };
                store.act(request, NOW).await.unwrap();
                let story = store.story(&address, &[store.list("acme").await.unwrap()]).await.unwrap();
                assert_eq!(story.chapters.len(), 2, "the act, and what came of it: {story:?}");
                assert_eq!(store.address_of(story.subject).await.unwrap().as_deref(), Some(address.expose()));
            }
        })
        .await;
    let states = [ReceiptState::Quarantined, ReceiptState::Unrecognised];
    filled
        .work_within("receipt", 24_000 * 8, async |store, _| {
            for visible in seen(&store).await.iter().cycle().take(OFTEN) {
                assert_eq!(store.unread_count(states[0], visible).await.unwrap(), 199);
                assert_eq!(store.unread_count(states[1], visible).await.unwrap(), 1000);
                let mut before = None;
                for _ in 0..3 {
                    let page = store.unread_receipts(&states, visible, before, 50).await.unwrap();
                    assert_eq!(page.len(), 50);
                    before = page.last().map(|it| it.id);
                }
                assert_eq!(store.unread_receipts(&states[..1], visible, None, 50).await.unwrap().len(), 50);
            }
        })
        .await;
    filled
        .work_within("outbox", 31_000 * 8, async |store, _| {
            for _ in 0..OFTEN {
                assert_eq!(store.outbox_glance().await.unwrap().depth, 10_000);
                assert!(store.outbox_refusals(50).await.unwrap().is_empty(), "those that were refused are the oldest");
            }
        })
        .await;
}
