//! What a connection is made of: TCP or WebSocket, perhaps a private network's key, then security
//! and a muxer; or QUIC, which has all of its own.

use crate::node::Options;
use crate::pattern::Res;
use futures::{AsyncRead, AsyncWrite, TryFutureExt};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::{
    InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version,
};
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{Multiaddr, PeerId, Transport, noise, quic, tcp, tls, yamux};
use libp2p_websocket as websocket;
use std::io;

/// Yamux under a name of our choice; under another name than its own it is only ever offered, to
/// have nothing in common with the other side.
#[derive(Clone)]
struct Muxer {
    name: &'static str,
    yamux: yamux::Config,
}

impl UpgradeInfo for Muxer {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(self.name)
    }
}

impl<C> InboundConnectionUpgrade<C> for Muxer
where
    yamux::Config: InboundConnectionUpgrade<C> + UpgradeInfo<Info = &'static str>,
{
    type Output = <yamux::Config as InboundConnectionUpgrade<C>>::Output;
    type Error = <yamux::Config as InboundConnectionUpgrade<C>>::Error;
    type Future = <yamux::Config as InboundConnectionUpgrade<C>>::Future;

    fn upgrade_inbound(self, io: C, name: &'static str) -> Self::Future {
        self.yamux.upgrade_inbound(io, name)
    }
}

impl<C> OutboundConnectionUpgrade<C> for Muxer
where
    yamux::Config: OutboundConnectionUpgrade<C> + UpgradeInfo<Info = &'static str>,
{
    type Output = <yamux::Config as OutboundConnectionUpgrade<C>>::Output;
    type Error = <yamux::Config as OutboundConnectionUpgrade<C>>::Error;
    type Future = <yamux::Config as OutboundConnectionUpgrade<C>>::Future;

    fn upgrade_outbound(self, io: C, name: &'static str) -> Self::Future {
        self.yamux.upgrade_outbound(io, name)
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
type Bytes = Box<dyn Io>;

/// Serves the certificate of a file, with its key, and trusts it.
fn web_tls(file: &str) -> Res<websocket::tls::Config> {
    let (mut certs, mut key) = (vec![], None);
    for part in pem::parse_many(std::fs::read(file)?)? {
        match part.tag() {
            "CERTIFICATE" => certs.push(websocket::tls::Certificate::new(part.into_contents())),
            _ => key = Some(websocket::tls::PrivateKey::new(part.into_contents())),
        }
    }
    let mut config = websocket::tls::Config::builder();
    config.add_trust(certs.first().ok_or("no certificate")?)?;
    config.server(key.ok_or("no key")?, certs)?;
    Ok(config.finish())
}

fn bytes(options: &Options) -> Res<Boxed<Bytes>> {
    let name = options.transport.as_str();
    let tcp = tcp::tokio::Transport::new(tcp::Config::default());
    match name {
        "tcp" => Ok(tcp.map(|io, _| Box::new(io) as Bytes).boxed()),
        "ws" => Ok(websocket::Config::new(tcp)
            .map(|io, _| Box::new(io) as Bytes)
            .boxed()),
        "wss" => {
            let mut ws = websocket::Config::new(tcp);
            ws.set_tls_config(web_tls(&options.web)?);
            Ok(ws.map(|io, _| Box::new(io) as Bytes).boxed())
        }
        _ => Err(format!("transport {name} is not available here").into()),
    }
}

fn private(public: Boxed<Bytes>, file: &str) -> Res<Boxed<Bytes>> {
    let key: PreSharedKey = std::fs::read_to_string(file)?
        .parse()
        .map_err(|e| format!("{file}: {e}"))?;
    Ok(public
        .and_then(move |io, _| {
            PnetConfig::new(key)
                .handshake(io)
                .map_ok(|io| Box::new(io) as Bytes)
                .map_err(io::Error::other)
        })
        .boxed())
}

pub fn build(options: &Options, key: &Keypair) -> Res<Boxed<(PeerId, StreamMuxerBox)>> {
    if options.transport == "quic" {
        return Ok(quic::tokio::Transport::new(quic::Config::new(key))
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed());
    }
    let mut plain = bytes(options)?;
    if !options.psk.is_empty() {
        plain = private(plain, &options.psk)?;
    }
    let muxer = Muxer {
        name: match options.muxer.as_str() {
            "yamux" => "/yamux/1.0.0",
            "mplex" => "/mplex/6.7.0",
            other => return Err(format!("muxer {other} is not available here").into()),
        },
        yamux: yamux::Config::default(),
    };
    let plain = plain.upgrade(Version::V1Lazy);
    match options.security.as_str() {
        "noise" => Ok(plain
            .authenticate(noise::Config::new(key)?)
            .multiplex(muxer)
            .boxed()),
        "tls" => Ok(plain
            .authenticate(tls::Config::new(key)?)
            .multiplex(muxer)
            .boxed()),
        other => Err(format!("security {other} is not available here").into()),
    }
}

pub fn listen_addr(options: &Options) -> Res<Multiaddr> {
    if options.transport == "quic" {
        return Ok(format!("/ip4/127.0.0.1/udp/{}/quic-v1", options.port).parse()?);
    }
    let end = match options.transport.as_str() {
        "ws" => "/ws",
        "wss" => "/tls/ws",
        _ => "",
    };
    Ok(format!("/ip4/127.0.0.1/tcp/{}{end}", options.port).parse()?)
}
