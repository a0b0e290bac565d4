//! From a configuration to a session: the connection, its protection, the login. Everything that may change meanwhile is looked at
//! anew each time: addresses, certificates of authorities, passwords and tokens.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::client::Client;
use super::error::MailboxError;
use super::token::Tokens;
use super::wire::{Stream, Wire};
use crate::config::{MailboxConfig, MailboxTls};

/// Opens a session that is logged in.
pub(super) async fn connect(config: &MailboxConfig, tokens: Option<&Tokens>, quoted: usize) -> Result<Client, MailboxError> {
    let within = |error| MailboxError::Connect(std::io::Error::new(std::io::ErrorKind::TimedOut, error));
    let address = (config.host.trim_matches(['[', ']']), config.port);
    let stream = timeout(config.timeout, TcpStream::connect(address)).await.map_err(within)?.map_err(MailboxError::Connect)?;
    // Commands are small and each is waited for; where the system cannot do it they are only slower.
    let _ = stream.set_nodelay(true);
    let wire = |stream: Box<dyn Stream>| Wire::new(stream, config.timeout, quoted);
    let mut client = match config.tls {
        MailboxTls::None => greeted(wire(Box::new(stream))).await?,
        MailboxTls::Implicit => greeted(wire(protected(config, Box::new(stream)).await?)).await?,
        MailboxTls::StartTls => {
            let stream = greeted(wire(Box::new(stream))).await?.start_tls().await?;
            // There is no greeting a second time.
            Client::new(wire(protected(config, stream).await?))
        }
    };
    log_in(&mut client, config, tokens).await?;
    Ok(client)
}

async fn greeted(wire: Wire) -> Result<Client, MailboxError> {
    let mut client = Client::new(wire);
    client.greeted().await?;
    Ok(client)
}

async fn log_in(client: &mut Client, config: &MailboxConfig, tokens: Option<&Tokens>) -> Result<(), MailboxError> {
    let Some(tokens) = tokens else {
        let password = config.password.as_ref().map(crate::config::RotatingSecret::current).unwrap_or_default();
        return client.login(&config.user, password.expose_secret()).await;
    };
    if !client.can("AUTH=XOAUTH2").await? {
        return Err(MailboxError::NotOffered("login by XOAUTH2"));
    }
    let token = tokens.access().await.map_err(MailboxError::Token)?;
    let secret = format!("user={}\u{1}auth=Bearer {}\u{1}\u{1}", config.user, token.expose_secret());
    let logged_in = client.authenticate("XOAUTH2", &secret).await;
    if matches!(logged_in, Err(MailboxError::Login(_))) {
        tokens.refused().await;
    }
    logged_in
}

/// The same connection within TLS.
async fn protected(config: &MailboxConfig, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, MailboxError> {
    let host = config.host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|_| MailboxError::Host(host))?;
    let roots = authorities(config.ca_file.as_deref())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|it| MailboxError::Tls(std::io::Error::other(it)))?.with_root_certificates(roots).with_no_client_auth();
    let connecting = TlsConnector::from(Arc::new(tls)).connect(name, stream);
    let within = |error| MailboxError::Tls(std::io::Error::new(std::io::ErrorKind::TimedOut, error));
    Ok(Box::new(timeout(config.timeout, connecting).await.map_err(within)?.map_err(MailboxError::Tls)?))
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, MailboxError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(MailboxError::NoAuthorities) } else { Ok(roots) };
    };
    let unusable = || MailboxError::Authorities { path: path.to_owned() };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|_| unusable())? {
        roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
    }
    if roots.is_empty() { Err(unusable()) } else { Ok(roots) }
}
