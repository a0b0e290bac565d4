//! A wire between the service and a server, which a test can cut.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// A TCP proxy before one server, at an address of its own.
///
/// It runs on the runtime of the test and starts by passing everything on. Outages are made with [`refuse`](Self::refuse) (the
/// server is gone), [`cut`](Self::cut) (connections break, new ones are welcome), [`stall`](Self::stall) (the server hangs) and
/// [`stall_answers`](Self::stall_answers) (it works and nobody hears of it), [`swallow`](Self::swallow) (connections lead nowhere, new ones are welcome)
/// and [`slow_down`](Self::slow_down), and ended with [`resume`](Self::resume).
///
/// To cut a request in its midst without a race: [`stall_at`](Self::stall_at) a word of it, send it, wait until
/// [`held`](Self::held) counts, cut. To lose the answer of a commit: the same with [`stall_answers_to`](Self::stall_answers_to).
#[derive(Debug)]
pub struct Proxy {
    url: String,
    wire: Arc<watch::Sender<Wire>>,
    counts: Arc<Counts>,
    server: JoinHandle<()>,
}

/// What the wire is to do now. Connections remember the `cuts` they were made under and end when there is another.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wire {
    mode: Mode,
    cuts: usize,
    /// How often connections were swallowed. Those that remember another number are.
    swallows: usize,
    /// What happens when a request with this word in it comes by.
    next: Option<(&'static str, Next)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Begin(Mode),
    Swallow,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Pass,
    Stall,
    StallAnswers,
    Refuse,
    /// Every piece of an answer comes so much later.
    Slow(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Request,
    Answer,
}

impl Mode {
    fn holds(self, way: Way) -> bool {
        self == Self::Stall || self == Self::StallAnswers && way == Way::Answer
    }
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    held: AtomicUsize,
}

impl Proxy {
    /// A proxy before the server that `url` names, passing everything on.
    #[must_use]
    pub fn before(url: &str) -> Self {
        Self::start(url, Mode::Pass)
    }

    /// A proxy before the server that `url` names which refuses every connection until [`resume`](Self::resume): the server
    /// that is not there yet.
    #[must_use]
    pub fn refusing(url: &str) -> Self {
        Self::start(url, Mode::Refuse)
    }

    fn start(url: &str, mode: Mode) -> Self {
        let mut url = Url::parse(url).expect("a server is named by a URL");
        let standard = if url.scheme().starts_with("amqp") { 5672 } else { 5432 };
        let (host, port) = (url.host_str().expect("a server has a host").to_owned(), url.port().unwrap_or(standard));
        let place = Place::reserve().expect("a free port");
        url.set_host(Some("127.0.0.1")).expect("such a URL has a host");
        url.set_port(Some(place.address.port())).expect("such a URL has a port");

        let (wire, orders) = watch::channel(Wire { mode, cuts: 0, swallows: 0, next: None });
        let wire = Arc::new(wire);
        let counts = Arc::new(Counts::default());
        // Bound before anyone is told the address, so that the first connection meets the wire as it was asked for.
        let listener = (mode != Mode::Refuse).then(|| place.listen().expect("the port is ours"));
        let server = tokio::spawn(serve(
            place,
            listener,
            (host, port),
            Hold { orders, wire: Arc::downgrade(&wire), cuts: 0, swallows: 0, counts: Arc::clone(&counts) },
        ));
        Self { url: url.into(), wire, counts, server }
    }

    /// The server's URL, with the proxy's address in place of the server's.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// How many pieces were held back so far, by either way of stalling.
    #[must_use]
    pub fn held(&self) -> usize {
        self.counts.held.load(Ordering::SeqCst)
    }

    /// Breaks all connections; new ones are passed on, also when the wire was stalled or refusing before.
    pub fn cut(&self) {
        self.order(Mode::Pass, 1);
    }

    /// Breaks all connections and refuses new ones: the server is gone.
    pub fn refuse(&self) {
        self.order(Mode::Refuse, 1);
    }

    /// Keeps connections, old and new, and lets no byte through in either direction: the server hangs.
    pub fn stall(&self) {
        self.order(Mode::Stall, 0);
    }

    /// Keeps connections and lets through what goes to the server, but nothing that comes back: it works and nobody hears of it.
    pub fn stall_answers(&self) {
        self.order(Mode::StallAnswers, 0);
    }

    /// Passes everything on, but each piece of an answer only after that time: the server is slow.
    pub fn slow_down(&self, by: Duration) {
        self.order(Mode::Slow(by), 0);
    }

    /// Stalls as soon as a request comes by that has the word in it; that request is the first thing held.
    pub fn stall_at(&self, word: &'static str) {
        self.wire.send_modify(|wire| wire.next = Some((word, Next::Begin(Mode::Stall))));
    }

    /// Stalls answers as soon as a request comes by that has the word in it; its answer is the first thing held.
    pub fn stall_answers_to(&self, word: &'static str) {
        self.wire.send_modify(|wire| wire.next = Some((word, Next::Begin(Mode::StallAnswers))));
    }

    /// Lets nothing through any more, in either direction and for good, on the connections there are, not even that one side has
    /// left; new ones are passed on. So does a network that forgets them. What is swallowed counts as held.
    pub fn swallow(&self) {
        self.wire.send_modify(|wire| wire.swallows += 1);
    }

    /// Swallows as soon as a request comes by that has the word in it, that request being the first thing swallowed.
    pub fn swallow_at(&self, word: &'static str) {
        self.wire.send_modify(|wire| wire.next = Some((word, Next::Swallow)));
    }

    /// Passes everything on again. Bytes that were held back arrive; connections that were broken stay broken.
    pub fn resume(&self) {
        self.order(Mode::Pass, 0);
    }

    fn order(&self, mode: Mode, cuts: usize) {
        self.wire.send_modify(|wire| *wire = Wire { mode, cuts: wire.cuts + cuts, next: None, ..*wire });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort(); // connections end by themselves, when they find that nobody gives orders any more
    }
}

/// A port that stays ours while nobody listens on it: a socket that is bound but does not listen refuses connections and keeps
/// the number from everybody else.
struct Place {
    address: SocketAddr,
    _holder: TcpSocket,
}

impl Place {
    fn reserve() -> io::Result<Self> {
        let holder = TcpSocket::new_v4()?;
        holder.set_reuseport(true)?;
        holder.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { address: holder.local_addr()?, _holder: holder })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        socket.listen(128)
    }
}

type Server = (String, u16);

async fn serve(place: Place, mut listener: Option<TcpListener>, server: Server, mut hold: Hold) {
    loop {
        let mode = hold.orders.borrow_and_update().mode;
        match (mode, &listener) {
            (Mode::Refuse, Some(_)) => listener = None,
            (Mode::Pass | Mode::Stall | Mode::StallAnswers | Mode::Slow(_), None) => {
                listener = Some(place.listen().expect("the port is ours"));
            }
            _ => {}
        }
        let Some(open) = &listener else {
            if hold.orders.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            changed = hold.orders.changed() => if changed.is_err() { return },
            connection = open.accept() => if let Ok((client, _)) = connection {
                let Wire { mode, cuts, swallows, .. } = *hold.orders.borrow(); // an order may have come while it knocked
                if mode != Mode::Refuse {
                    hold.counts.accepted.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(join(client, server.clone(), Hold { cuts, swallows, ..hold.clone() }));
                }
            }
        }
    }
}

/// What a connection needs to know about the wire it goes through.
#[derive(Clone)]
struct Hold {
    orders: watch::Receiver<Wire>,
    wire: Weak<watch::Sender<Wire>>,
    cuts: usize,
    swallows: usize,
    counts: Arc<Counts>,
}

impl Hold {
    /// Lets the mode begin that waits for a word in this request.
    fn look_at(&self, request: &[u8]) {
        let has = |word: &str| request.windows(word.len()).any(|part| part == word.as_bytes());
        let Some((_, next)) = self.orders.borrow().next.filter(|(word, _)| has(word)) else { return };
        if let Some(wire) = self.wire.upgrade() {
            wire.send_modify(|wire| {
                wire.next = None;
                match next {
                    Next::Begin(mode) => wire.mode = mode,
                    Next::Swallow => wire.swallows += 1,
                }
            });
        }
    }

    /// Lets the time pass by which the wire is slow, or until it is no longer.
    async fn be_slow(&mut self, way: Way) {
        let Mode::Slow(by) = self.orders.borrow().mode else { return };
        if way == Way::Answer {
            let _ = tokio::time::timeout(by, self.orders.wait_for(|wire| !matches!(wire.mode, Mode::Slow(_)))).await;
        }
    }

    /// Waits while the wire holds this direction back. `false`: it was cut meanwhile, and what was held is lost.
    async fn may_pass(&mut self, way: Way) -> bool {
        let (cuts, swallows) = (self.cuts, self.swallows);
        let holds = |wire: &Wire| wire.mode.holds(way) || wire.swallows != swallows;
        if holds(&self.orders.borrow()) {
            self.counts.held.fetch_add(1, Ordering::SeqCst);
        }
        // An error means that the proxy is gone.
        self.orders.wait_for(|wire| !holds(wire) || wire.cuts != cuts).await.is_ok_and(|wire| wire.cuts == cuts)
    }
}

/// Joins a client with the server until either leaves or the wire is cut.
async fn join(client: TcpStream, (host, port): Server, hold: Hold) {
    let Hold { mut orders, cuts, .. } = hold.clone();
    let both_ways = async {
        let Ok(server) = TcpStream::connect((host.as_str(), port)).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(pump(from_client, to_server, hold.clone(), Way::Request), pump(from_server, to_client, hold, Way::Answer));
    };
    tokio::select! {
        () = both_ways => {}
        _ = orders.wait_for(|wire| wire.cuts != cuts) => {}
    }
}

/// Copies one direction.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut hold: Hold, way: Way) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let Some(piece) = piece.get(..length) else { break };
        if way == Way::Request {
            hold.look_at(piece);
        }
        if !hold.may_pass(way).await {
            return;
        }
        hold.be_slow(way).await;
        if to.write_all(piece).await.is_err() {
            break;
        }
    }
    // Nobody hears on a connection that was swallowed who has left.
    let (cuts, swallows) = (hold.cuts, hold.swallows);
    let _ = hold.orders.wait_for(|wire| wire.swallows == swallows || wire.cuts != cuts).await;
    // That one side has said all does not end the other: the half is closed as it was on the other side of the wire.
    let _ = to.shutdown().await;
}
