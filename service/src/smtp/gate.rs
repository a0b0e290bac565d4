//! Who may connect: so many at once in all, and of SMTP so many of one address at once and in a minute. LMTP comes from
//! neighbours, all perhaps from one address, and is bounded in all only.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::{MailProtocol, SmtpRefused};

/// The time within which connections of one address are counted.
const MINUTE: Duration = Duration::from_mins(1);

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// At once, of each protocol.
    pub(super) total: usize,
    /// At once, of one address.
    pub(super) of_address: usize,
    /// In a minute, of one address; 0 for any number.
    pub(super) rate: u32,
    /// Room for messages that one address takes at once, in units of the whole.
    pub(super) room_of_address: usize,
}

/// Counts connections. Its clones are one.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    limits: Limits,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug)]
struct Counts {
    open: HashMap<MailProtocol, usize>,
    of_address: HashMap<IpAddr, usize>,
    room_of_address: HashMap<IpAddr, usize>,
    /// Those of this minute. It is forgotten with the minute, so it holds no more than came within one.
    recent: HashMap<IpAddr, u32>,
    minute: Instant,
}

/// A connection that was let in, until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Gate,
    protocol: MailProtocol,
    peer: Option<IpAddr>,
    room: usize,
}

impl Gate {
    /// Nobody has come yet.
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let counts = Counts {
            open: HashMap::new(),
            of_address: HashMap::new(),
            room_of_address: HashMap::new(),
            recent: HashMap::new(),
            minute: now,
        };
        Self { limits, counts: Arc::new(Mutex::new(counts)) }
    }

    /// Lets a connection in.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub(super) fn enter(&self, protocol: MailProtocol, peer: Option<IpAddr>, now: Instant) -> Result<Pass, SmtpRefused> {
        let Limits { total, of_address, rate, .. } = self.limits;
        let peer = peer.filter(|_| protocol == MailProtocol::Smtp).map(counted_as);
        let mut counts = self.counts();
        if now.duration_since(counts.minute) >= MINUTE {
            counts.recent = HashMap::new();
            counts.minute = now;
        }
        if let Some(peer) = peer {
            let recent = counts.recent.entry(peer).or_default();
            *recent = recent.saturating_add(1);
            let is_hasty = rate > 0 && *recent > rate;
            if is_hasty || counts.of_address.get(&peer).is_some_and(|it| *it >= of_address) {
                return Err(SmtpRefused::AddressConnections);
            }
        }
        let open = counts.open.entry(protocol).or_default();
        if *open >= total {
            return Err(SmtpRefused::Connections);
        }
        *open += 1;
        if let Some(peer) = peer {
            *counts.of_address.entry(peer).or_default() += 1;
        }
        Ok(Pass { gate: self.clone(), protocol, peer, room: 0 })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Takes so much more room for a message; false if the address has as much as it may have.
    pub(super) fn take_room(&mut self, units: usize) -> bool {
        let Some(peer) = self.peer else { return true };
        let mut counts = self.gate.counts();
        let taken = counts.room_of_address.entry(peer).or_default();
        let may = *taken + units <= self.gate.limits.room_of_address;
        if may {
            *taken += units;
            self.room += units;
        }
        may
    }

    /// Gives all its room back.
    pub(super) fn give_room_back(&mut self) {
        let units = std::mem::take(&mut self.room);
        let Some(peer) = self.peer.filter(|_| units > 0) else { return };
        let mut counts = self.gate.counts();
        let left = counts.room_of_address.get_mut(&peer).map(|it| {
            *it = it.saturating_sub(units);
            *it
        });
        if left == Some(0) {
            counts.room_of_address.remove(&peer);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.give_room_back();
        let mut counts = self.gate.counts();
        if let Some(open) = counts.open.get_mut(&self.protocol) {
            *open = open.saturating_sub(1);
        }
        let Some(peer) = self.peer else { return };
        let left = counts.of_address.get_mut(&peer).map(|it| {
            *it = it.saturating_sub(1);
            *it
        });
        if left == Some(0) {
            counts.of_address.remove(&peer);
        }
    }
}

/// What an address counts as: whoever has one of IPv6 has a whole /64 of them.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(it) => Ipv6Addr::from_bits(it.to_bits() >> 64 << 64).into(),
        it @ IpAddr::V4(_) => it,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(total: usize, of_address: usize, rate: u32) -> (Gate, Instant) {
        let now = Instant::now();
        (Gate::new(Limits { total, of_address, rate, room_of_address: 10 }, now), now)
    }

    #[test]
    fn there_are_no_more_at_once_than_may_be() {
        let (gate, now) = gate(3, 2, 0);
        let enter = |peer: &str| gate.enter(MailProtocol::Smtp, Some(peer.parse().unwrap()), now);
        let first = enter("192.0.2.1").unwrap();
        let second = enter("::ffff:192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").err(), Some(SmtpRefused::AddressConnections));
        let third = enter("2001:db8::1").unwrap();
        assert_eq!(enter("198.51.100.1").err(), Some(SmtpRefused::Connections));
        drop((first, second));
        let again = (enter("192.0.2.1").unwrap(), enter("2001:db8::2:2").unwrap());
        assert_eq!(enter("2001:db8::3").err(), Some(SmtpRefused::AddressConnections), "the third of a /64");
        drop((third, again));
        assert!(gate.counts().of_address.is_empty());
        let neighbours: Vec<_> = (0..3).map(|_| gate.enter(MailProtocol::Lmtp, Some(Ipv6Addr::LOCALHOST.into()), now).unwrap()).collect();
        assert_eq!(gate.enter(MailProtocol::Lmtp, None, now).err(), Some(SmtpRefused::Connections));
        assert!(enter("192.0.2.1").is_ok(), "each protocol has its own");
        drop(neighbours);
    }

    #[test]
    fn one_address_takes_no_more_than_its_share_of_the_room() {
        let (gate, now) = gate(10, 10, 0);
        let enter = |peer: &str| gate.enter(MailProtocol::Smtp, Some(peer.parse().unwrap()), now).unwrap();
        let (mut first, mut second, mut other) = (enter("192.0.2.1"), enter("192.0.2.1"), enter("192.0.2.2"));
        assert!(first.take_room(4) && first.take_room(4) && second.take_room(2) && !second.take_room(1));
        assert!(other.take_room(10));
        first.give_room_back();
        assert!(second.take_room(8) && !first.take_room(1));
        drop((first, second, other));
        assert!(gate.counts().room_of_address.is_empty());
    }

    #[test]
    fn one_address_may_come_so_often_a_minute() {
        let (gate, now) = gate(100, 100, 2);
        let enter = |peer: &str, at| gate.enter(MailProtocol::Smtp, Some(peer.parse().unwrap()), at).map(drop);
        assert_eq!([(); 3].map(|()| enter("192.0.2.1", now).is_ok()), [true, true, false]);
        assert!(enter("192.0.2.2", now).is_ok());
        assert!(enter("192.0.2.1", now + MINUTE).is_ok());
        assert_eq!(gate.counts().recent.len(), 1, "the last minute is forgotten");
    }
}
