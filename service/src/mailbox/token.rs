//! Access tokens for XOAUTH2: asked for with a refresh token (RFC 6749, section 6), or where there is none for the client itself
//! (section 4.4), kept for as long as they hold, and asked for anew once a server refuses one.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::OAuth2Config;

/// Octets of an answer; tokens of Microsoft have about 3,000.
const ANSWER_BYTES: usize = 64 * 1024;
/// How long a token holds if nothing is said.
const HOLDS: Duration = Duration::from_mins(5);
/// So much earlier it is not used any more.
const MARGIN: Duration = Duration::from_mins(1);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the HTTPS client could not be made")]
    Client(#[source] reqwest::Error),
    #[error("the request for an access token failed")]
    Request(#[source] reqwest::Error),
    #[error("the request for an access token was answered with status {0}: {1}")]
    Refused(StatusCode, String),
    #[error("the answer to the request for an access token cannot be used")]
    Unusable,
}

/// The tokens of one mailbox, shared by its connections.
#[derive(Debug)]
pub(super) struct Tokens {
    config: OAuth2Config,
    patience: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    access: Option<(SecretString, Instant)>,
    /// A newer refresh token, and the one of the configuration that it came in place of.
    refresh: Option<(SecretString, String)>,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
}

/// RFC 6749, section 5.2. The description may name people.
#[derive(Deserialize)]
struct Denied {
    error: String,
}

impl Tokens {
    pub(super) fn new(config: &OAuth2Config, patience: Duration) -> Self {
        Self { config: config.clone(), patience, held: Mutex::default() }
    }

    /// A token that holds. Whoever asks meanwhile waits for the same one.
    pub(super) async fn access(&self) -> Result<SecretString, TokenError> {
        let mut held = self.held.lock().await;
        if let Some((token, until)) = &held.access
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        let configured = self.config.refresh_token.as_ref().map(|it| it.current().expose_secret().to_owned());
        // One that was put into the file since is the newest.
        let newer = held.refresh.take().filter(|(_, of)| configured.as_ref() == Some(of));
        let refresh = newer.as_ref().map(|(it, _)| it.expose_secret().to_owned()).or_else(|| configured.clone());
        let asked = Instant::now();
        let granted = self.ask(refresh.as_deref()).await;
        let granted = granted.inspect_err(|_| held.refresh.clone_from(&newer))?;
        let holds = granted.expires_in.map_or(HOLDS, Duration::from_secs);
        let token = SecretString::from(granted.access_token);
        held.access = Some((token.clone(), asked + holds.saturating_sub(MARGIN.min(holds / 2))));
        held.refresh = match (granted.refresh_token, configured) {
            (Some(it), Some(of)) => Some((it.into(), of)),
            _ => newer,
        };
        Ok(token)
    }

    /// The server has refused the token: the next one is asked for anew.
    pub(super) async fn refused(&self) {
        self.held.lock().await.access = None;
    }

    async fn ask(&self, refresh: Option<&str>) -> Result<Granted, TokenError> {
        let form = self.form(refresh);
        // The form must not be sent on to wherever a redirect leads.
        let client = Client::builder().timeout(self.patience).redirect(Policy::none()).build().map_err(TokenError::Client)?;
        let request = client.post(&self.config.token_url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.header(header::ACCEPT, "application/json").body(form);
        let mut answer = request.send().await.map_err(|it| TokenError::Request(it.without_url()))?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|it| TokenError::Request(it.without_url()))? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_BYTES {
                return Err(TokenError::Unusable);
            }
        }
        if answer.status() != StatusCode::OK {
            let why = serde_json::from_slice::<Denied>(&body).map_or_else(|_| "no reason is given".to_owned(), |it| it.error);
            return Err(TokenError::Refused(answer.status(), super::error::quoted(&why)));
        }
        serde_json::from_slice(&body).map_err(|_| TokenError::Unusable)
    }

    fn form(&self, refresh: Option<&str>) -> String {
        let secret = self.config.client_secret.as_ref().map(crate::config::RotatingSecret::current);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &self.config.client_id);
        match refresh {
            Some(token) => form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token),
            None => form.append_pair("grant_type", "client_credentials"),
        };
        if let Some(secret) = &secret {
            form.append_pair("client_secret", secret.expose_secret());
        }
        if let Some(scope) = &self.config.scope {
            form.append_pair("scope", scope);
        }
        form.finish()
    }
}
