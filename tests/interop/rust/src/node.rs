//! One swarm in a task of its own, driven by commands.

use crate::pattern::Res;
use crate::streams::{Inbound, Open, Streams};
use crate::transport;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use libp2p::identity::{Keypair, rsa};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, NetworkBehaviour, Stream, StreamProtocol, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, identify, ping};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::timeout;

pub struct Options {
    pub transport: String,
    pub security: String,
    pub muxer: String,
    pub key_type: String,
    pub port: String,
    pub record: String,
    /// The file with the key of a private network, or empty.
    pub psk: String,
    /// The file with the certificate of secure WebSocket and its key, or empty.
    pub web: String,
    pub identify: bool,
    pub ping_every: Duration,
}

#[derive(Clone, Debug)]
pub enum Event {
    Listening(Multiaddr),
    Identified(PeerId, Box<identify::Info>),
    Ping(Result<Duration, String>),
}

enum Command {
    Dial(DialOpts, oneshot::Sender<Result<ConnectionId, String>>),
    Open(PeerId, ConnectionId, Open),
    Close(ConnectionId, oneshot::Sender<()>),
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: ping::Behaviour,
    identify: Toggle<identify::Behaviour>,
    streams: Streams,
}

/// rust-libp2p does not make RSA keys; the openssl command does.
fn rsa_key() -> Res<Keypair> {
    let out = std::process::Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ])
        .args(["-outform", "DER", "-quiet"])
        .output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into());
    }
    // PKCS#8 or PKCS#1, depending on its version
    let key = rsa::Keypair::try_decode_pkcs8(&mut out.stdout.clone())
        .or_else(|_| rsa::Keypair::try_decode_pkcs1(&mut out.stdout.clone()))?;
    Ok(key.into())
}

pub fn new_key(key_type: &str) -> Res<Keypair> {
    match key_type {
        "ed25519" => Ok(Keypair::generate_ed25519()),
        "secp256k1" => Ok(Keypair::generate_secp256k1()),
        "ecdsa" => Ok(Keypair::generate_ecdsa()),
        "rsa" => rsa_key(),
        _ => Err(format!("key type {key_type} is not available here").into()),
    }
}

#[derive(Clone)]
pub struct Node {
    pub peer: PeerId,
    pub events: broadcast::Sender<Event>,
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Clone)]
pub struct Conn {
    pub peer: PeerId,
    pub node: Node,
    id: ConnectionId,
}

impl Node {
    /// Starts a swarm; what others open on it for `serves` comes out of the second value, and
    /// the third misses no event.
    pub fn start(
        options: &Options,
        serves: Vec<StreamProtocol>,
        listens: bool,
    ) -> Res<(
        Node,
        mpsc::UnboundedReceiver<Inbound>,
        broadcast::Receiver<Event>,
    )> {
        let (inbound, accepted) = mpsc::unbounded();
        let (with_identify, ping_every) = (options.identify, options.ping_every);
        let with_record = options.record == "signed";
        let key = new_key(&options.key_type)?;
        let transport = transport::build(options, &key)?;
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_other_transport(|_| transport)?
            .with_behaviour(|key| Behaviour {
                ping: ping::Behaviour::new(ping::Config::new().with_interval(ping_every)),
                identify: Toggle::from(with_identify.then(|| identify_with(key, with_record))),
                streams: Streams::new(serves, inbound),
            })?
            .with_swarm_config(|c| {
                c.with_idle_connection_timeout(Duration::from_secs(3600))
                    .with_max_negotiating_inbound_streams(1024)
            })
            .build();
        if listens {
            swarm.listen_on(transport::listen_addr(options)?)?;
        }
        let (commands, receiver) = mpsc::unbounded();
        let (events, first) = broadcast::channel(1024);
        let peer = *swarm.local_peer_id();
        let driver = Driver {
            swarm,
            listens,
            events: events.clone(),
            dials: HashMap::new(),
            closes: HashMap::new(),
        };
        tokio::spawn(driver.run(receiver));
        Ok((
            Node {
                peer,
                events,
                commands,
            },
            accepted,
            first,
        ))
    }

    pub async fn dial(&self, peer: PeerId, addr: Multiaddr) -> Res<Conn> {
        let opts = DialOpts::peer_id(peer)
            .addresses(vec![addr])
            .condition(PeerCondition::Always)
            .build();
        let (reply, result) = oneshot::channel();
        self.commands.unbounded_send(Command::Dial(opts, reply))?;
        let id = result.await??;
        Ok(Conn {
            peer,
            node: self.clone(),
            id,
        })
    }
}

impl Conn {
    pub async fn open(&self, protocol: &'static str) -> Res<Stream> {
        let (reply, result) = oneshot::channel();
        let open = Open {
            protocol: StreamProtocol::new(protocol),
            reply,
        };
        self.node
            .commands
            .unbounded_send(Command::Open(self.peer, self.id, open))?;
        let stream = result.await.map_err(|_| "the connection is closed")?;
        stream.map_err(|e| format!("open {protocol}: {e}").into())
    }

    /// Waits for the library's own ping, which goes out on every new connection and then at the
    /// interval. Ours have to wait for the first: rust serves only the latest ping stream, and
    /// none at all on a connection whose other side does not know ping.
    pub async fn next_ping(&self, events: &mut broadcast::Receiver<Event>) -> Res<Duration> {
        let next = async {
            loop {
                if let Event::Ping(result) = events.recv().await? {
                    return Ok(result?);
                }
            }
        };
        timeout(Duration::from_secs(10), next).await?
    }

    pub async fn close(self) -> Res<()> {
        let (done, closed) = oneshot::channel();
        self.node
            .commands
            .unbounded_send(Command::Close(self.id, done))?;
        Ok(closed.await?)
    }
}

/// rust signs its record in a domain that go and js do not know; js then drops the whole identify.
fn identify_with(key: &Keypair, with_record: bool) -> identify::Behaviour {
    let version = String::from("interop/0");
    let config = if with_record {
        identify::Config::new_with_signed_peer_record(version, key)
    } else {
        identify::Config::new(version, key.public())
    };
    identify::Behaviour::new(config.with_agent_version("interop-rust".into()))
}

/// Splits an address into what to connect to and who should be there.
pub fn target(addr: &str) -> Res<(PeerId, Multiaddr)> {
    let mut addr: Multiaddr = addr.parse()?;
    match addr.pop() {
        Some(Protocol::P2p(peer)) => Ok((peer, addr)),
        _ => Err("the address does not end in /p2p/ID".into()),
    }
}

struct Driver {
    swarm: Swarm<Behaviour>,
    listens: bool,
    events: broadcast::Sender<Event>,
    dials: HashMap<ConnectionId, oneshot::Sender<Result<ConnectionId, String>>>,
    closes: HashMap<ConnectionId, oneshot::Sender<()>>,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = commands.next() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial(opts, reply) => {
                let id = opts.connection_id();
                match self.swarm.dial(opts) {
                    Ok(()) => drop(self.dials.insert(id, reply)),
                    Err(error) => drop(reply.send(Err(error.to_string()))),
                }
            }
            Command::Open(peer, id, open) => {
                self.swarm.behaviour_mut().streams.open(peer, id, open)
            }
            Command::Close(id, done) => {
                self.closes.insert(id, done);
                self.swarm.close_connection(id);
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.tell(Event::Listening(address)),
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                if let Some(reply) = self.dials.remove(&connection_id) {
                    let _ = reply.send(Ok(connection_id));
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                if let Some(reply) = self.dials.remove(&connection_id) {
                    let _ = reply.send(Err(error.to_string()));
                }
            }
            SwarmEvent::ConnectionClosed {
                connection_id,
                cause,
                ..
            } => {
                if let (Some(cause), false) = (cause, self.listens) {
                    eprintln!("a connection ended: {cause}");
                }
                if let Some(done) = self.closes.remove(&connection_id) {
                    let _ = done.send(());
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => self.tell(Event::Identified(peer_id, Box::new(info))),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => {
                self.tell(Event::Ping(event.result.map_err(|e| e.to_string())));
            }
            _ => {}
        }
    }

    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}
