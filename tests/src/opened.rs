//! The service's store on a test's database, without the service around it.

use std::time::Duration;

use secrecy::SecretString;
use service::store::{Announces, Connect, Identity, Policies, Store};

use crate::TestDatabase;

/// The store on a database, migrated and ready, with the outbox in use and the default policy.
pub async fn store_on(database: &TestDatabase) -> Store {
    let store = store_at(database.url()).await;
    store.migrate().await.expect("the schema can be brought up to date");
    store.check_in().await.expect("a fresh database takes any pepper");
    store
}

/// The store at a URL, as it is.
pub async fn store_at(url: &str) -> Store {
    let options = Connect {
        url: SecretString::from(url),
        max_connections: 4,
        min_connections: 0,
        acquire_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        statement_timeout: Duration::from_secs(20),
        announces: Announces::Outbox,
    };
    let identity = Identity::new(&SecretString::from("a pepper that only the tests know"));
    Store::connect(&options, identity, Policies::default()).await.expect("the URL is one of a database")
}
