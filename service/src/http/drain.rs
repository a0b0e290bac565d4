//! The way out of a service that is told to stop. First it looks unready while it serves as before, so that whoever balances the
//! load looks away; then it answers whatever is new that it should come again, while what is under way comes to its end; only
//! then is the listener closed. So nothing is cut in the middle, and no connection is refused that somebody still hopes for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::web::Bytes;
use tokio::sync::Notify;

/// How far the service is on its way out, and how many requests are under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// 0 until it is told to stop.
    phase: AtomicU8,
    under_way: AtomicUsize,
    ended: Notify,
}

/// It serves, and asks not to be sent more.
const LEAVING: u8 = 1;
/// It serves only what it has begun.
const REFUSING: u8 = 2;

impl Drain {
    /// From here on it is not ready, and asks callers to close their connections. It serves as before.
    pub fn leave(&self) {
        self.0.phase.fetch_max(LEAVING, Ordering::SeqCst);
    }

    /// From here on requests are to come again, elsewhere.
    pub fn refuse(&self) {
        self.0.phase.fetch_max(REFUSING, Ordering::SeqCst);
    }

    /// Whether it is on its way out.
    pub(super) fn is_leaving(&self) -> bool {
        self.0.phase.load(Ordering::SeqCst) >= LEAVING
    }

    /// Begins a request; `None` when it is to come again. Counted first and asked afterwards, so that whoever has seen nothing
    /// under way after [`Drain::refuse`] has seen the last of them.
    pub(super) fn begin(&self) -> Option<UnderWay> {
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        let request = UnderWay(self.clone());
        (self.0.phase.load(Ordering::SeqCst) < REFUSING).then_some(request)
    }

    /// Waits until no request is under way.
    pub async fn idle(&self) {
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.0.under_way.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Drain);

impl UnderWay {
    /// Ends with the last of the answer. One that is a stream is under way for as long as it flows.
    pub(super) fn until_sent(request: Option<Self>, answer: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        match (answer.response().body().size(), request) {
            (BodySize::Stream, Some(request)) => answer.map_body(|_, body| BoxBody::new(Flowing { body, _request: request })),
            _ => answer,
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.0.ended.notify_waiters();
    }
}

/// The rest of an answer.
struct Flowing {
    body: BoxBody,
    _request: UnderWay,
}

impl MessageBody for Flowing {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_has_begun_is_waited_for_and_nothing_more_begins() {
        let drain = Drain::default();
        let first = drain.begin().unwrap();
        assert!(!drain.is_leaving());
        drain.leave();
        assert!(drain.is_leaving());
        let second = drain.begin().unwrap();
        drain.refuse();
        drain.leave();
        assert!(drain.begin().is_none());
        let idle = drain.idle();
        tokio::pin!(idle);
        assert_eq!(idle.as_mut().now_or_never(), None);
        drop(first);
        assert_eq!(idle.as_mut().now_or_never(), None);
        drop(second);
        assert_eq!(idle.now_or_never(), Some(()));
    }
}
