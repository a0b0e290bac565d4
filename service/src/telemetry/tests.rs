//! What a scrape shows and what a log says.

use super::log::tests::logged;
use actix_web::web;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Tells of one of everything.
fn everything(it: &Telemetry) {
    it.service_started(SocketAddr::from(([127, 0, 0, 1], 8080)), "http", "postgres");
    it.schema_migrated(3);
    it.rules_loaded("337-0a1b");
    it.rules_refused(&std::io::Error::other("own.toml:7: rule own.gone: its sample holds jane@example.org"));
    for outcome in Stored::ALL {
        it.receipt_stored("ses-prod", *outcome, Uuid::nil(), 1234, SECOND);
    }
    it.receipt_stored("jane@example.org", Stored::New, Uuid::nil(), 1, SECOND);
    it.receipt_refused("ses-prod", Refused::Credentials);
    it.receipt_interpreted(SECOND);
    it.event_recorded("ses-prod", Kind::Bounce, Some(BounceType::Hard), Some(Reason::UserUnknown), Some("gmail"));
    it.fact_taken("ses-prod", Attribution::Signed);
    it.delivery_recorded("ses-prod", None);
    it.event_merged("ses-prod", Kind::Complaint);
    it.suppression_changed("acme.weekly", "hard", "added");
    it.subject_erased(Erased::Kept);
    it.outlived(Outlived::Bodies, 3);
    it.check_answered(&[(Answer::Suppressed, 2), (Answer::Clear, 3)], SECOND);
    it.request_answered("GET", Some("/v1/check"), 200, SECOND);
    it.request_answered("BREW", None, 404, SECOND);
    it.request_answered("GET", Some("/metrics"), 200, SECOND);
    it.intake_queue(5, 1024);
    it.batch_committed(64, SECOND);
    it.batch_retried(&std::io::Error::other("deadlock"));
    it.outbox_measured(7, Some(SECOND));
    it.relay_published(Published::Confirmed, SECOND);
    it.relay_published(Published::Returned, SECOND);
    it.relay_changed(RelayState::Connected);
    it.watch_pool(|| Pool { size: 4, idle: 3, max: 10 });
    it.watch_spool(4096, || SpoolFigures { entries: 2, bytes: 900, oldest: Some(SECOND) });
    it.database_found(Database::Away);
    it.receipt_spooled("ses-prod", Uuid::nil(), 1234);
    it.spool_refused(Unspooled::Full, &std::io::Error::other("jane@example.org"));
    it.spool_drained(Drained::Recorded, "ses-prod", Uuid::nil());
    it.spool_drained(Drained::Held, "jane@example.org", Uuid::nil());
    it.spool_damaged(1);
    it.smtp_listens(MailProtocol::Lmtp, &"127.0.0.1:24");
    it.certificate_reloaded(Stage::Smtp, OffsetDateTime::UNIX_EPOCH + SECOND);
    it.smtp_opened(MailProtocol::Smtp);
    it.smtp_closed(MailProtocol::Smtp);
    it.smtp_accepted(MailProtocol::Smtp, 1234);
    it.smtp_refused(MailProtocol::Smtp, SmtpRefused::BareLineEnd);
    it.failed(Stage::Relay, "connecting to the broker", &std::io::Error::other("amqp://guest:s3cret@mq: jane@example.org"));
    it.source_failed("ses-prod", Stage::Fetch, "fetching a signing certificate", &std::io::Error::other("for jane@example.org"));
    it.source_noted("ses-prod", "a subscription was confirmed as its provider asked");
    it.message_discarded(Uuid::nil(), "rebound.event.recorded", "event.bounce.user_unknown.acme", 3, "ann");
    it.watch_mailboxes(["bounces"]);
    it.mailbox_opened("bounces", "INBOX");
    it.mailbox_visited("bounces", OffsetDateTime::UNIX_EPOCH + SECOND);
    it.mailbox_taken("bounces", 3);
    it.mailbox_message_failed("bounces", 7, 1, Polled::TooLarge);
    it.mailbox_failed("bounces", MailboxFailure::Login, &std::io::Error::other("no such user: jane@example.org"));
    it.service_stopping();
}

#[test]
fn a_scrape_shows_every_series() {
    let telemetry = Telemetry::new(["ses-prod"]);
    everything(&telemetry);
    let page = telemetry.render();
    let names: Vec<&str> = page.lines().filter_map(|it| it.strip_prefix("# TYPE ")).collect();
    insta::assert_snapshot!(names.join("\n"), @"
process_cpu_seconds_total counter
process_max_fds gauge
process_open_fds gauge
process_resident_memory_bytes gauge
process_start_time_seconds gauge
process_threads gauge
process_virtual_memory_bytes gauge
rebound_addresses_checked_total counter
rebound_batches_retried_total counter
rebound_bounces_by_receiver_total counter
rebound_build_info gauge
rebound_certificate_expiry_timestamp_seconds gauge
rebound_check_duration_seconds histogram
rebound_database_away gauge
rebound_database_connections gauge
rebound_database_connections_max gauge
rebound_deliveries_by_receiver_total counter
rebound_deliveries_recorded_total counter
rebound_events_merged_total counter
rebound_events_recorded_total counter
rebound_facts_taken_total counter
rebound_failures_total counter
rebound_http_request_duration_seconds histogram
rebound_import_rows_total counter
rebound_intake_batch_receipts histogram
rebound_intake_commit_duration_seconds histogram
rebound_intake_queue_capacity gauge
rebound_intake_queue_depth gauge
rebound_mailbox_failures_total counter
rebound_mailbox_last_success_timestamp_seconds gauge
rebound_mailbox_messages_total counter
rebound_message_publish_duration_seconds histogram
rebound_messages_published_total counter
rebound_outbox_depth gauge
rebound_outbox_oldest_age_seconds gauge
rebound_receipt_commit_duration_seconds histogram
rebound_receipt_interpret_duration_seconds histogram
rebound_receipts_refused_total counter
rebound_receipts_spooled_total counter
rebound_receipts_stored_total counter
rebound_relay_state gauge
rebound_retention_removed_total counter
rebound_rules_reloads_total counter
rebound_smtp_message_bytes_accepted_total counter
rebound_smtp_messages_accepted_total counter
rebound_smtp_refused_total counter
rebound_smtp_sessions_open gauge
rebound_smtp_sessions_total counter
rebound_source_last_receipt_timestamp_seconds gauge
rebound_spool_bytes gauge
rebound_spool_bytes_max gauge
rebound_spool_drained_total counter
rebound_spool_entries gauge
rebound_spool_oldest_age_seconds gauge
rebound_spool_refused_total counter
rebound_subjects_erased_total counter
rebound_suppressions_changed_total counter
");
}

#[test]
fn everything_that_happens_is_counted() {
    let telemetry = Telemetry::new(["ses-prod"]);
    everything(&telemetry);
    let page = telemetry.render();
    let counted: Vec<&str> = page
        .lines()
        .filter(|it| !it.starts_with('#') && !it.contains("_bucket{") && !it.starts_with("process_") && !it.ends_with(" 0"))
        .collect();
    insta::assert_snapshot!(counted.join("\n"), @r#"
rebound_addresses_checked_total{answer="clear"} 3
rebound_addresses_checked_total{answer="suppressed"} 2
rebound_batches_retried_total 1
rebound_bounces_by_receiver_total{bounce_type="hard",fault="recipient",reason="user_unknown",receiver="gmail"} 1
rebound_build_info{version="0.1.0"} 1
rebound_certificate_expiry_timestamp_seconds{edge="smtp"} 1
rebound_check_duration_seconds_sum 1
rebound_check_duration_seconds_count 1
rebound_database_away 1
rebound_database_connections{state="idle"} 3
rebound_database_connections{state="used"} 1
rebound_database_connections_max 10
rebound_deliveries_by_receiver_total{receiver="other"} 1
rebound_deliveries_recorded_total{source="ses-prod"} 1
rebound_events_merged_total{kind="complaint",source="ses-prod"} 1
rebound_events_recorded_total{bounce_type="hard",kind="bounce",reason="user_unknown",source="ses-prod"} 1
rebound_facts_taken_total{attribution="signed",source="ses-prod"} 1
rebound_failures_total{stage="fetch"} 1
rebound_failures_total{stage="relay"} 1
rebound_http_request_duration_seconds_sum{method="GET",route="/metrics",status="2xx"} 1
rebound_http_request_duration_seconds_count{method="GET",route="/metrics",status="2xx"} 1
rebound_http_request_duration_seconds_sum{method="GET",route="/v1/check",status="2xx"} 1
rebound_http_request_duration_seconds_count{method="GET",route="/v1/check",status="2xx"} 1
rebound_http_request_duration_seconds_sum{method="other",route="unmatched",status="4xx"} 1
rebound_http_request_duration_seconds_count{method="other",route="unmatched",status="4xx"} 1
rebound_intake_batch_receipts_sum 64
rebound_intake_batch_receipts_count 1
rebound_intake_commit_duration_seconds_sum 1
rebound_intake_commit_duration_seconds_count 1
rebound_intake_queue_capacity 1024
rebound_intake_queue_depth 5
rebound_mailbox_failures_total{cause="login",mailbox="bounces"} 1
rebound_mailbox_last_success_timestamp_seconds{mailbox="bounces"} 1
rebound_mailbox_messages_total{mailbox="bounces",outcome="taken"} 3
rebound_mailbox_messages_total{mailbox="bounces",outcome="too_large"} 1
rebound_message_publish_duration_seconds_sum 1
rebound_message_publish_duration_seconds_count 1
rebound_messages_published_total{outcome="confirmed"} 1
rebound_messages_published_total{outcome="returned"} 1
rebound_outbox_depth 7
rebound_outbox_oldest_age_seconds 1
rebound_receipt_commit_duration_seconds_sum 5
rebound_receipt_commit_duration_seconds_count 5
rebound_receipt_interpret_duration_seconds_sum 1
rebound_receipt_interpret_duration_seconds_count 1
rebound_receipts_refused_total{source="ses-prod",why="credentials"} 1
rebound_receipts_spooled_total{source="ses-prod"} 1
rebound_receipts_stored_total{outcome="duplicate",source="ses-prod"} 1
rebound_receipts_stored_total{outcome="new",source="other"} 1
rebound_receipts_stored_total{outcome="new",source="ses-prod"} 1
rebound_receipts_stored_total{outcome="quarantined",source="ses-prod"} 1
rebound_receipts_stored_total{outcome="unrecognised",source="ses-prod"} 1
rebound_relay_state{state="connected"} 1
rebound_retention_removed_total{what="receipt_bodies"} 3
rebound_rules_reloads_total{outcome="loaded"} 1
rebound_rules_reloads_total{outcome="refused"} 1
rebound_smtp_message_bytes_accepted_total{protocol="smtp"} 1234
rebound_smtp_messages_accepted_total{protocol="smtp"} 1
rebound_smtp_refused_total{protocol="smtp",why="bare_line_end"} 1
rebound_smtp_sessions_total{protocol="smtp"} 1
rebound_spool_bytes 900
rebound_spool_bytes_max 4096
rebound_spool_drained_total{outcome="damaged"} 1
rebound_spool_drained_total{outcome="held"} 1
rebound_spool_drained_total{outcome="recorded"} 1
rebound_spool_entries 2
rebound_spool_oldest_age_seconds 1
rebound_spool_refused_total{why="full"} 1
rebound_subjects_erased_total{block="kept"} 1
rebound_suppressions_changed_total{cause="hard",change="added"} 1
"#);
}

/// The counters of a scrape but for those whose names have one of these parts.
fn totals_beside<'a>(page: &'a str, parts: &[&str]) -> Vec<&'a str> {
    let counts = page.lines().filter(|it| it.starts_with("rebound_") && it.contains("_total{"));
    counts.filter(|it| !parts.iter().any(|part| it.contains(part))).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line for each series")]
fn series_start_at_zero() {
    let page = Telemetry::new(["ses-prod"]).render();
    let zero = totals_beside(&page, &["_spool", "_smtp", "{receiver="]);
    insta::assert_snapshot!(zero.join("\n"), @r#"
rebound_addresses_checked_total{answer="clear"} 0
rebound_addresses_checked_total{answer="invalid"} 0
rebound_addresses_checked_total{answer="suppressed"} 0
rebound_deliveries_recorded_total{source="ses-prod"} 0
rebound_events_merged_total{kind="auto_reply",source="ses-prod"} 0
rebound_events_merged_total{kind="bounce",source="ses-prod"} 0
rebound_events_merged_total{kind="challenge_response",source="ses-prod"} 0
rebound_events_merged_total{kind="complaint",source="ses-prod"} 0
rebound_events_merged_total{kind="delayed",source="ses-prod"} 0
rebound_events_merged_total{kind="delivered",source="ses-prod"} 0
rebound_events_merged_total{kind="mdn",source="ses-prod"} 0
rebound_events_merged_total{kind="other",source="ses-prod"} 0
rebound_events_merged_total{kind="rejected",source="ses-prod"} 0
rebound_events_merged_total{kind="suppressed",source="ses-prod"} 0
rebound_events_merged_total{kind="unsubscribe",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="auto_reply",reason="",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="challenge_response",reason="",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="complaint",reason="",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="delayed",reason="undetermined",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="delivered",reason="",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="mdn",reason="",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="other",reason="",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="rejected",reason="undetermined",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="suppressed",reason="",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="",kind="unsubscribe",reason="",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="hard",kind="bounce",reason="undetermined",source="ses-prod"} 0
rebound_events_recorded_total{bounce_type="soft",kind="bounce",reason="undetermined",source="ses-prod"} 0
rebound_facts_taken_total{attribution="attributed",source="ses-prod"} 0
rebound_facts_taken_total{attribution="authenticated",source="ses-prod"} 0
rebound_facts_taken_total{attribution="signed",source="ses-prod"} 0
rebound_facts_taken_total{attribution="unattributed",source="ses-prod"} 0
rebound_failures_total{stage="fetch"} 0
rebound_failures_total{stage="http"} 0
rebound_failures_total{stage="intake"} 0
rebound_failures_total{stage="interpret"} 0
rebound_failures_total{stage="relay"} 0
rebound_failures_total{stage="smtp"} 0
rebound_failures_total{stage="spool"} 0
rebound_failures_total{stage="store"} 0
rebound_import_rows_total{mode="preview",outcome="added"} 0
rebound_import_rows_total{mode="preview",outcome="refused"} 0
rebound_import_rows_total{mode="preview",outcome="unchanged"} 0
rebound_import_rows_total{mode="preview",outcome="updated"} 0
rebound_import_rows_total{mode="real",outcome="added"} 0
rebound_import_rows_total{mode="real",outcome="refused"} 0
rebound_import_rows_total{mode="real",outcome="unchanged"} 0
rebound_import_rows_total{mode="real",outcome="updated"} 0
rebound_messages_published_total{outcome="confirmed"} 0
rebound_messages_published_total{outcome="failed"} 0
rebound_messages_published_total{outcome="nacked"} 0
rebound_messages_published_total{outcome="returned"} 0
rebound_messages_published_total{outcome="timed_out"} 0
rebound_receipts_refused_total{source="ses-prod",why="busy"} 0
rebound_receipts_refused_total{source="ses-prod",why="certificate"} 0
rebound_receipts_refused_total{source="ses-prod",why="credential_mismatch"} 0
rebound_receipts_refused_total{source="ses-prod",why="credential_missing"} 0
rebound_receipts_refused_total{source="ses-prod",why="credential_repeated"} 0
rebound_receipts_refused_total{source="ses-prod",why="credentials"} 0
rebound_receipts_refused_total{source="ses-prod",why="malformed"} 0
rebound_receipts_refused_total{source="ses-prod",why="media_type"} 0
rebound_receipts_refused_total{source="ses-prod",why="method"} 0
rebound_receipts_refused_total{source="ses-prod",why="not_allowed"} 0
rebound_receipts_refused_total{source="ses-prod",why="not_configured"} 0
rebound_receipts_refused_total{source="ses-prod",why="replayed"} 0
rebound_receipts_refused_total{source="ses-prod",why="stale"} 0
rebound_receipts_refused_total{source="ses-prod",why="too_large"} 0
rebound_receipts_refused_total{source="ses-prod",why="too_many_events"} 0
rebound_receipts_refused_total{source="ses-prod",why="unavailable"} 0
rebound_receipts_stored_total{outcome="duplicate",source="ses-prod"} 0
rebound_receipts_stored_total{outcome="new",source="ses-prod"} 0
rebound_receipts_stored_total{outcome="quarantined",source="ses-prod"} 0
rebound_receipts_stored_total{outcome="unrecognised",source="ses-prod"} 0
rebound_retention_removed_total{what="events"} 0
rebound_retention_removed_total{what="import_rows"} 0
rebound_retention_removed_total{what="receipt_bodies"} 0
rebound_retention_removed_total{what="subjects"} 0
rebound_rules_reloads_total{outcome="loaded"} 0
rebound_rules_reloads_total{outcome="refused"} 0
rebound_subjects_erased_total{block="forgotten"} 0
rebound_subjects_erased_total{block="kept"} 0
"#);
    assert!(page.contains("rebound_relay_state{state=\"off\"} 1\n"));
}

#[test]
fn series_of_the_spool_start_at_zero() {
    let page = Telemetry::new(["ses-prod"]).render();
    let zero: Vec<&str> = page.lines().filter(|it| !it.starts_with('#') && it.contains("_spool") && it.contains("_total{")).collect();
    insta::assert_snapshot!(zero.join("\n"), @r#"
rebound_receipts_spooled_total{source="ses-prod"} 0
rebound_spool_drained_total{outcome="damaged"} 0
rebound_spool_drained_total{outcome="duplicate"} 0
rebound_spool_drained_total{outcome="failed"} 0
rebound_spool_drained_total{outcome="held"} 0
rebound_spool_drained_total{outcome="recorded"} 0
rebound_spool_drained_total{outcome="replayed"} 0
rebound_spool_refused_total{why="busy"} 0
rebound_spool_refused_total{why="failed"} 0
rebound_spool_refused_total{why="full"} 0
rebound_spool_refused_total{why="too_large"} 0
rebound_spool_refused_total{why="too_old"} 0
"#);
}

#[test]
fn series_of_the_mail_edge_start_at_zero() {
    let page = Telemetry::new([]).render();
    for protocol in ["smtp", "lmtp"] {
        for name in ["sessions_total", "sessions_open", "messages_accepted_total", "message_bytes_accepted_total"] {
            assert!(page.contains(&format!("rebound_smtp_{name}{{protocol=\"{protocol}\"}} 0\n")), "{page}");
        }
        for why in SmtpRefused::ALL {
            let series = format!("rebound_smtp_refused_total{{protocol=\"{protocol}\",why=\"{}\"}} 0\n", why.as_str());
            assert!(page.contains(&series), "{series}");
        }
    }
}

#[test]
fn two_apps_do_not_mix() {
    let (one, other) = (Telemetry::new(["a"]), Telemetry::new(["a"]));
    one.receipt_refused("a", Refused::Busy);
    assert!(one.render().contains("rebound_receipts_refused_total{source=\"a\",why=\"busy\"} 1\n"));
    assert!(other.render().contains("rebound_receipts_refused_total{source=\"a\",why=\"busy\"} 0\n"));
}

#[test]
fn no_label_and_no_line_holds_an_address_or_a_secret() {
    let telemetry = Telemetry::new(["ses-prod"]);
    let lines = logged(|| everything(&telemetry));
    for text in [&lines, &telemetry.render()] {
        assert!(!text.contains("jane") && !text.contains("s3cret") && !text.contains('@'), "{text}");
    }
    insta::assert_snapshot!(lines.replace(env!("CARGO_PKG_VERSION"), "<version>"), @r#"
{"level":"INFO","message":"started","listen":"127.0.0.1:8080","scheme":"http","database":"postgres","version":"<version>","target":"rebound::app"}
{"level":"INFO","message":"schema is up to date","steps":3,"target":"rebound::store"}
{"level":"INFO","message":"rules reloaded","version":"337-0a1b","target":"rebound::rules"}
{"level":"ERROR","message":"rules not reloaded; those in force stay","error":"own.toml:7: rule own.gone: its sample holds [address]","target":"rebound::rules"}
{"level":"INFO","message":"receipt stored","source":"ses-prod","outcome":"new","receipt":"00000000-0000-0000-0000-000000000000","bytes":1234,"target":"rebound::intake"}
{"level":"INFO","message":"receipt stored","source":"ses-prod","outcome":"duplicate","receipt":"00000000-0000-0000-0000-000000000000","bytes":1234,"target":"rebound::intake"}
{"level":"INFO","message":"receipt stored","source":"ses-prod","outcome":"unrecognised","receipt":"00000000-0000-0000-0000-000000000000","bytes":1234,"target":"rebound::intake"}
{"level":"WARN","message":"receipt kept for later","source":"ses-prod","outcome":"quarantined","receipt":"00000000-0000-0000-0000-000000000000","bytes":1234,"target":"rebound::intake"}
{"level":"INFO","message":"receipt stored","source":"other","outcome":"new","receipt":"00000000-0000-0000-0000-000000000000","bytes":1,"target":"rebound::intake"}
{"level":"INFO","message":"refused","source":"ses-prod","why":"credentials","target":"rebound::inbound"}
{"level":"DEBUG","message":"event recorded","source":"ses-prod","kind":"bounce","bounce_type":"hard","reason":"user_unknown","target":"rebound::intake"}
{"level":"DEBUG","message":"event merged","source":"ses-prod","kind":"complaint","target":"rebound::intake"}
{"level":"DEBUG","message":"suppression changed","list":"acme.weekly","cause":"hard","change":"added","target":"rebound::store"}
{"level":"INFO","message":"address erased","block":"kept","target":"rebound::store"}
{"level":"INFO","message":"removed for its age","what":"receipt_bodies","count":3,"target":"rebound::retention"}
{"level":"DEBUG","message":"answered","method":"GET","route":"/v1/check","status":200,"millis":1000,"target":"rebound::http"}
{"level":"INFO","message":"answered","method":"other","route":"unmatched","status":404,"millis":1000,"target":"rebound::http"}
{"level":"DEBUG","message":"answered","method":"GET","route":"/metrics","status":200,"millis":1000,"target":"rebound::http"}
{"level":"DEBUG","message":"batch committed","receipts":64,"target":"rebound::intake"}
{"level":"DEBUG","message":"batch begins again","error":"deadlock","target":"rebound::intake"}
{"level":"DEBUG","message":"message not published; it will be tried again","outcome":"returned","target":"rebound::outbox"}
{"level":"INFO","message":"relay","state":"connected","target":"rebound::outbox"}
{"level":"WARN","message":"the database is away; receipts go to the spool","target":"rebound::spool"}
{"level":"INFO","message":"receipt spooled","source":"ses-prod","receipt":"00000000-0000-0000-0000-000000000000","bytes":1234,"target":"rebound::spool"}
{"level":"ERROR","message":"receipt not spooled","why":"full","error":"[address]","target":"rebound::spool"}
{"level":"INFO","message":"receipt drained","source":"ses-prod","outcome":"recorded","receipt":"00000000-0000-0000-0000-000000000000","target":"rebound::spool"}
{"level":"WARN","message":"receipt of the spool not recorded","source":"other","outcome":"held","receipt":"00000000-0000-0000-0000-000000000000","target":"rebound::spool"}
{"level":"ERROR","message":"damage in the spool; the files lie in its folder corrupt","places":1,"target":"rebound::spool"}
{"level":"INFO","message":"listening for mail","protocol":"lmtp","endpoint":"127.0.0.1:24","target":"rebound::smtp"}
{"level":"INFO","message":"certificate reloaded","edge":"smtp","until":"1970-01-01","target":"rebound::tls"}
{"level":"INFO","message":"message taken","protocol":"smtp","bytes":1234,"target":"rebound::smtp"}
{"level":"DEBUG","message":"refused","protocol":"smtp","why":"bare_line_end","target":"rebound::smtp"}
{"level":"ERROR","message":"connecting to the broker failed","stage":"relay","error":"amqp://[redacted] [address]","target":"rebound::failure"}
{"level":"ERROR","message":"fetching a signing certificate failed","stage":"fetch","source":"ses-prod","error":"for [address]","target":"rebound::failure"}
{"level":"INFO","message":"a subscription was confirmed as its provider asked","source":"ses-prod","target":"rebound::note"}
{"level":"WARN","message":"message given up","id":"00000000-0000-0000-0000-000000000000","message_type":"rebound.event.recorded","routing_key":"event.bounce.user_unknown.acme","attempts":3,"by":"ann","target":"rebound::outbox"}
{"level":"INFO","message":"mailbox open","mailbox":"bounces","folder":"INBOX","target":"rebound::mailbox"}
{"level":"WARN","message":"message of a mailbox set aside","mailbox":"bounces","uid":7,"validity":1,"why":"too_large","target":"rebound::mailbox"}
{"level":"ERROR","message":"mailbox failed; it is tried again","mailbox":"bounces","cause":"login","error":"no such user: [address]","target":"rebound::mailbox"}
{"level":"INFO","message":"stopping","target":"rebound::app"}
"#);
}

/// Units and verbs as Prometheus wants them.
#[test]
fn names_keep_the_rules() {
    let page = Telemetry::new([]).render();
    for line in page.lines().filter_map(|it| it.strip_prefix("# TYPE rebound_")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        assert!(!name.contains("duration") || name.ends_with("_seconds"), "{line}");
    }
}

#[actix_web::test]
async fn a_request_is_told_by_its_route() {
    use actix_web::{App, HttpResponse, test};
    let telemetry = web::Data::new(Telemetry::new([]));
    let app = test::init_service(
        App::new()
            .wrap(tracing_actix_web::TracingLogger::<RequestSpan>::new())
            .app_data(telemetry.clone())
            .route("/v1/addresses/{address}", web::get().to(HttpResponse::NoContent)),
    )
    .await;
    for path in ["/v1/addresses/jane@example.org?list=x", "/jane"] {
        test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
    }
    let page = telemetry.render();
    assert!(page.contains("_count{method=\"GET\",route=\"/v1/addresses/{address}\",status=\"2xx\"} 1\n"), "{page}");
    assert!(page.contains("_count{method=\"GET\",route=\"unmatched\",status=\"4xx\"} 1\n") && !page.contains("jane"), "{page}");
}

/// However many names strangers make up, and whatever happens, the series are as many as closed lists and configured sources make.
#[test]
fn the_labels_are_bounded() {
    let sources = ["ses-prod", "bounces"];
    let telemetry = Telemetry::new(sources);
    telemetry.watch_mailboxes(["returns"]);
    let strangers = (0..300).map(|it| format!("stranger{it}"));
    for source in sources.map(str::to_owned).into_iter().chain(strangers) {
        for (why, kind) in Refused::ALL.iter().flat_map(|it| Kind::ALL.iter().map(move |kind| (*it, *kind))) {
            telemetry.receipt_refused(&source, why);
            telemetry.event_merged(&source, kind);
        }
        for (reason, receiver) in Reason::ALL.iter().flat_map(|it| receivers::names().map(Some).chain([None]).map(move |to| (*it, to))) {
            for bounce_type in [BounceType::Hard, BounceType::Soft] {
                telemetry.event_recorded(&source, Kind::Bounce, Some(bounce_type), Some(reason), receiver);
            }
            telemetry.delivery_recorded(&source, receiver);
        }
        telemetry.receipt_spooled(&source, Uuid::nil(), 1);
        telemetry.post_taken(&source, OffsetDateTime::UNIX_EPOCH);
        telemetry.request_answered(&source, None, 404, SECOND);
    }
    let page = telemetry.render();
    assert!(!page.contains("stranger"));
    let count = |name: &str| page.lines().filter(|it| it.starts_with(&format!("{name}{{"))).count();
    let (sources, receivers, reasons) = (sources.len() + 1, receivers::names().count() + 1, Reason::ALL.len());
    assert_eq!(count("rebound_bounces_by_receiver_total"), receivers * 2 * reasons);
    assert_eq!(count("rebound_deliveries_by_receiver_total"), receivers);
    assert_eq!(count("rebound_receipts_refused_total"), sources * Refused::ALL.len());
    assert_eq!(count("rebound_events_merged_total"), sources * Kind::ALL.len());
    assert!(count("rebound_events_recorded_total") <= sources * (2 * reasons + Kind::ALL.len()));
    let labels: BTreeSet<&str> = page
        .lines()
        .filter(|it| it.starts_with("rebound_"))
        .filter_map(|it| it.split_once('{')?.1.split_once('}'))
        .flat_map(|(labels, _)| labels.split("\",").filter_map(|it| it.split_once('=')).map(|it| it.0))
        .collect();
    let closed = [
        "answer",
        "attribution",
        "block",
        "bounce_type",
        "cause",
        "fault",
        "kind",
        "le",
        "mailbox",
        "method",
        "mode",
        "outcome",
        "protocol",
        "reason",
        "receiver",
        "route",
        "source",
        "stage",
        "state",
        "status",
        "version",
        "what",
        "why",
    ];
    assert_eq!(labels, BTreeSet::from(closed));
}
