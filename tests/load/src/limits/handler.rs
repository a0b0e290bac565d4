//! Two HTTP handlers to be measured beside the service, each as a process of its own with the same framework: one that does nothing,
//! and one that writes what one request leads to in a transaction of its own, as a program without group commit would.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use actix_web::error::ErrorInternalServerError;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::limits::rows::Sample;
use crate::servers::Database;
use crate::service::free_address;
use crate::wire::{Connection, request};

/// Answers 200 to everything.
pub(crate) async fn serve_empty(address: SocketAddr) -> anyhow::Result<()> {
    let app = || App::new().default_service(web::to(|| async { HttpResponse::Ok().body("{}") }));
    Ok(HttpServer::new(app).workers(2).bind(address)?.run().await?)
}

struct Writer {
    sample: Sample,
    next: AtomicUsize,
    pool: PgPool,
}

/// Answers each POST once the next receipt of a sample, with all that follows from it, is committed; 410 when there are no more.
pub(crate) async fn serve_transactions(address: SocketAddr, sample: &str, target: &str) -> anyhow::Result<()> {
    let connect = async |url: &str| PgPoolOptions::new().max_connections(10).min_connections(10).connect(url).await;
    let source = Database { name: "sample".to_owned(), url: sample.to_owned(), pool: connect(sample).await? };
    let writer = Writer { sample: Sample::read(&source, 1).await?, next: AtomicUsize::new(0), pool: connect(target).await? };
    source.pool.close().await;
    let writer = web::Data::from(Arc::new(writer));
    let app = move || App::new().app_data(writer.clone()).route("/", web::get().to(HttpResponse::Ok)).default_service(web::to(write));
    Ok(HttpServer::new(app).workers(2).bind(address)?.run().await?)
}

async fn write(writer: web::Data<Writer>, _body: web::Bytes) -> actix_web::Result<HttpResponse> {
    let mut connection = writer.pool.acquire().await.map_err(ErrorInternalServerError)?;
    let written =
        writer.sample.write_next(&mut connection, &writer.next).await.map_err(|it| ErrorInternalServerError(format!("{it:#}")))?;
    Ok(if written { HttpResponse::Ok().finish() } else { HttpResponse::Gone().finish() })
}

/// This tool as a server.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Handler {
    /// Starts one of the above and waits until it answers.
    pub(crate) async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        let process = command.args(arguments).args(["--listen", &address.to_string()]).stdin(Stdio::null()).spawn()?;
        let mut it = Self { address, process };
        for _ in 0..1200 {
            if let Ok(mut connection) = Connection::open(address).await
                && connection.ask(&request("GET", "/", &[], b"")).await.is_ok()
            {
                return Ok(it);
            }
            anyhow::ensure!(it.process.try_wait()?.is_none(), "the handler ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(anyhow::anyhow!("no answer within a minute")).context("the handler does not get ready")
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
