use crate::emit;
use crate::node::{Event, Node, Options};
use crate::pattern::{CHUNK, Res, hex, write_pattern, write_zeros};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::{Stream, StreamProtocol};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::Duration;

pub const ECHO: &str = "/p2p/echo/1.0.0";
pub const PERF: &str = "/perf/1.0.0";
pub const SINK: &str = "/test/sink/1.0.0";
pub const RESET: &str = "/test/reset/1.0.0";
pub const HASH: &str = "/test/hash/1.0.0";
pub const SOURCE: &str = "/test/source/1.0.0";
pub const ABSENT: &str = "/test/absent/1.0.0";

const RESET_AFTER: usize = 64 << 10;
const SINK_PAUSE: Duration = Duration::from_millis(2);

pub async fn listen(options: &Options) -> Res<()> {
    let serves = [ECHO, PERF, SINK, RESET, HASH, SOURCE]
        .map(StreamProtocol::new)
        .to_vec();
    let (node, mut accepted, mut events) = Node::start(options, serves, true)?;
    tokio::spawn(async move {
        while let Some((protocol, stream)) = accepted.next().await {
            tokio::spawn(async move {
                if let Err(e) = serve(protocol.as_ref(), stream).await
                    && !e.to_string().ends_with("connection is closed")
                // a reset
                {
                    emit(
                        json!({"event": "failed", "protocol": protocol.as_ref(), "error": e.to_string()}),
                    );
                }
            });
        }
    });
    loop {
        match events.recv().await {
            Ok(Event::Listening(addr)) => emit(json!({
                "event": "listening", "addr": format!("{addr}/p2p/{}", node.peer),
                "peer": node.peer.to_string(), "pid": std::process::id(),
            })),
            Ok(Event::Identified(peer, info)) => emit(json!({
                "event": "identified", "peer": peer.to_string(), "agent": info.agent_version,
                "protocols": info.protocols.iter().map(|p| p.as_ref()).collect::<Vec<_>>(),
            })),
            _ => {}
        }
    }
}

/// A stream that is dropped before it is closed is reset.
async fn serve(protocol: &str, mut stream: Stream) -> Res<()> {
    match protocol {
        ECHO => echo(&mut stream).await?,
        PERF => perf(&mut stream).await?,
        SINK => sink(&mut stream).await?,
        RESET => return Ok(stream.read_exact(&mut vec![0; RESET_AFTER]).await?),
        HASH => {
            let (_, hex) = digest(&mut stream).await?;
            stream.write_all(hex.as_bytes()).await?;
        }
        SOURCE => return source(&mut stream).await,
        _ => {}
    }
    Ok(stream.close().await?)
}

async fn count(stream: &mut Stream) -> Res<u64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes).await?;
    Ok(u64::from_be_bytes(bytes))
}

async fn digest(stream: &mut Stream) -> Res<(u64, String)> {
    let (mut hash, mut total, mut buf) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok((total, hex(&hash.finalize())));
        }
        hash.update(&buf[..n]);
        total += n as u64;
    }
}

async fn echo(stream: &mut Stream) -> Res<()> {
    let mut buf = vec![0; CHUNK];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
        stream.flush().await?;
    }
}

async fn perf(stream: &mut Stream) -> Res<()> {
    let n = count(stream).await?;
    let mut buf = vec![0; CHUNK];
    while stream.read(&mut buf).await? > 0 {}
    write_zeros(stream, n).await
}

async fn sink(stream: &mut Stream) -> Res<()> {
    let (mut total, mut buf) = (0, vec![0; 16 << 10]);
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            emit(json!({"event": "sink", "bytes": total}));
            return Ok(());
        }
        total += n;
        tokio::time::sleep(SINK_PAUSE).await;
    }
}

/// Ends its own side first and then still reads: the other half of half-close.
async fn source(stream: &mut Stream) -> Res<()> {
    let n = count(stream).await?;
    write_pattern(stream, 1, n).await?;
    stream.close().await?;
    let (total, hex) = digest(stream).await?;
    emit(json!({"event": "source", "rest_bytes": total, "rest_sha256": hex}));
    Ok(())
}
