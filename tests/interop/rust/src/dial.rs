use crate::node::{Conn, Event, Node, Options, new_key, target};
use crate::pattern::{CHUNK, Pace, Res, expect_pattern, pattern_hash, write_pattern, write_zeros};
use crate::serve::{ABSENT, ECHO, HASH, PERF, RESET, SOURCE};
use futures::future::{join, join_all, try_join_all};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::Stream;
use serde_json::{Value, json};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio::time::{sleep, timeout};

const PING: &str = "/ipfs/ping/1.0.0";

pub async fn dial(options: &Options, addr: &str, name: &str, args: &[u64]) -> Res<Value> {
    let (peer, addr) = target(addr)?;
    let (node, _accepted, mut pings) = Node::start(options, vec![], false)?;
    if name == "wrong-peer" {
        let other = new_key("ed25519")?.public().to_peer_id();
        return wrong_peer(node.dial(other, addr).await);
    }
    let events = node.events.subscribe();
    let conn = timeout(Duration::from_secs(15), node.dial(peer, addr)).await??;
    if name != "ping" {
        conn.next_ping(&mut pings).await?;
    }
    let mut result = run(&conn, name, args, events).await?;
    result["peer"] = json!(node.peer.to_string());
    conn.close().await?;
    Ok(result)
}

async fn run(conn: &Conn, name: &str, args: &[u64], events: Receiver<Event>) -> Res<Value> {
    let arg = |i: usize, otherwise: u64| args.get(i).copied().unwrap_or(otherwise);
    match name {
        "ping" => ping(conn, events).await,
        "identify" => identify(conn, events).await,
        "echo" => {
            echo(conn, arg(0, 1 << 20), None).await?;
            Ok(json!({"bytes": arg(0, 1 << 20)}))
        }
        "streams-parallel" => parallel(conn, arg(0, 100)).await,
        "streams-sequential" => sequential(conn, arg(0, 1000)).await,
        "half-close" => half_close(conn).await,
        "half-close-remote" => half_close_remote(conn).await,
        "reset" => reset(conn).await,
        "reset-remote" => reset_remote(conn).await,
        "slow-reader" => slow_reader(conn).await,
        "hash" => hash(conn, arg(0, 1 << 20)).await,
        "unknown-protocol" => unknown_protocol(conn).await,
        "perf" => perf(conn, arg(0, 1 << 20), arg(1, 1 << 20)).await,
        "soak" => soak(conn, Duration::from_secs(arg(0, 10))).await,
        _ => Err(format!("no test named {name}").into()),
    }
}

async fn ping_stream(stream: &mut Stream) -> Res<Duration> {
    let (start, sent, mut got) = (Instant::now(), random().to_be_bytes().repeat(4), [0; 32]);
    stream.write_all(&sent).await?;
    stream.flush().await?;
    timeout(Duration::from_secs(10), stream.read_exact(&mut got)).await??;
    if got != sent[..] {
        return Err("ping: other bytes came back".into());
    }
    Ok(start.elapsed())
}

/// On a stream of ours: the library's own ping cannot be asked to happen now.
pub async fn ping_once(conn: &Conn) -> Res<Duration> {
    let mut stream = conn.open(PING).await?;
    let rtt = ping_stream(&mut stream).await?;
    stream.close().await?;
    Ok(rtt)
}

/// Five of the library's own pings.
async fn ping(conn: &Conn, mut events: Receiver<Event>) -> Res<Value> {
    let mut rtts = vec![];
    while rtts.len() < 5 {
        rtts.push(conn.next_ping(&mut events).await?.as_secs_f64() * 1e3);
    }
    Ok(json!({"rtt_ms": rtts}))
}

async fn identify(conn: &Conn, mut events: Receiver<Event>) -> Res<Value> {
    let info = timeout(Duration::from_secs(15), async {
        loop {
            if let Event::Identified(_, info) = events.recv().await? {
                return Res::Ok(info);
            }
        }
    });
    let info = info.await??;
    let protocols: Vec<_> = info.protocols.iter().map(|p| p.as_ref()).collect();
    let result = json!({
        "agent": info.agent_version, "protocol_version": info.protocol_version,
        "protocols": protocols, "listen_addrs": info.listen_addrs,
        "observed_addr": info.observed_addr, "signed_record": info.signed_peer_record.is_some(),
    });
    if info.public_key.to_peer_id() != conn.peer {
        return Err("the public key is of another peer".into());
    }
    for want in [PING, "/ipfs/id/1.0.0", ECHO, PERF] {
        if !protocols.contains(&want) {
            return Err(format!("protocol {want} is not in the list").into());
        }
    }
    let parts: Vec<_> = info.observed_addr.iter().collect();
    if !matches!(parts[..], [Protocol::Ip4(ip), Protocol::Tcp(_) | Protocol::Udp(_), ..] if ip.is_loopback())
    {
        return Err(format!("observed address is {}", info.observed_addr).into());
    }
    if info.agent_version.is_empty() || info.listen_addrs.is_empty() {
        return Err("no agent or no listen address".into());
    }
    Ok(result)
}

/// Sends n bytes while reading them back.
pub async fn echo(conn: &Conn, n: u64, pace: Option<Pace>) -> Res<()> {
    let (mut reader, mut writer) = conn.open(ECHO).await?.split();
    let write = async {
        write_pattern(&mut writer, n as u32, n).await?;
        Res::Ok(writer.close().await?)
    };
    let (read, written) = join(expect_pattern(&mut reader, n as u32, n, pace), write).await;
    read.and(written)
}

async fn alive(conn: &Conn) -> Res<()> {
    echo(conn, 1 << 20, None)
        .await
        .map_err(|e| format!("a new stream: {e}"))?;
    ping_once(conn).await?;
    Ok(())
}

/// Holds all streams open, each proven alive, before any is ended.
async fn parallel(conn: &Conn, n: u64) -> Res<Value> {
    const HALF: u64 = 8 << 10;
    let streams = try_join_all((0..n as u32).map(async |seed| {
        let mut stream = conn.open(ECHO).await?;
        write_pattern(&mut stream, seed, HALF).await?;
        stream.read_exact(&mut [0; HALF as usize]).await?;
        Res::Ok(stream)
    }));
    let streams = streams.await?;
    try_join_all(
        streams
            .into_iter()
            .zip(0..)
            .map(async |(mut stream, seed)| {
                write_pattern(&mut stream, seed, HALF).await?;
                stream.close().await?;
                expect_pattern(&mut stream, seed, HALF, None).await
            }),
    )
    .await?;
    Ok(json!({"streams": n}))
}

async fn sequential(conn: &Conn, n: u64) -> Res<Value> {
    for i in 0..n {
        echo(conn, 1 + i % 2000, None)
            .await
            .map_err(|e| format!("stream {i}: {e}"))?;
    }
    Ok(json!({"streams": n}))
}

/// Ends writing before it reads anything.
async fn half_close(conn: &Conn) -> Res<Value> {
    const N: u64 = 100_000; // fits the windows of both sides while nobody reads
    let mut stream = conn.open(ECHO).await?;
    write_pattern(&mut stream, 7, N).await?;
    stream.close().await?;
    sleep(Duration::from_millis(200)).await;
    expect_pattern(&mut stream, 7, N, None).await?;
    Ok(json!({}))
}

/// Reads the remote's end and then still writes more than a window.
async fn half_close_remote(conn: &Conn) -> Res<Value> {
    let (n, rest) = (300_000u64, 1 << 20);
    let mut stream = conn.open(SOURCE).await?;
    stream.write_all(&n.to_be_bytes()).await?;
    stream.flush().await?;
    expect_pattern(&mut stream, 1, n, None).await?;
    write_pattern(&mut stream, 9, rest)
        .await
        .map_err(|e| format!("writing after the remote closed: {e}"))?;
    stream.close().await?;
    alive(conn).await?;
    Ok(json!({"rest_bytes": rest}))
}

/// Resets in mid-transfer; the connection must live on.
async fn reset(conn: &Conn) -> Res<Value> {
    for _ in 0..10 {
        let mut stream = conn.open(ECHO).await?;
        write_pattern(&mut stream, 3, 100_000).await?;
        stream.read_exact(&mut [0; 1000]).await?;
        drop(stream);
    }
    alive(conn).await?;
    Ok(json!({}))
}

/// In rust-yamux a reset looks like the end to a reader; only the writer learns of it.
async fn reset_remote(conn: &Conn) -> Res<Value> {
    let mut stream = conn.open(RESET).await?;
    if write_pattern(&mut stream, 3, 64 << 20).await.is_ok() {
        return Err("expected a reset while writing".into());
    }
    if stream.read(&mut [0; 1]).await.is_ok_and(|n| n > 0) {
        return Err("expected no bytes after a reset".into());
    }
    alive(conn).await?;
    Ok(json!({}))
}

/// Leaves an echo unread until all windows are full: pings beside it stay quick.
async fn slow_reader(conn: &Conn) -> Res<Value> {
    let pace = Pace {
        first: Duration::from_secs(1),
        each: Duration::from_millis(10),
    };
    let beside = conn.clone();
    let mut transfer = tokio::spawn(async move { echo(&beside, 8 << 20, Some(pace)).await });
    let (mut worst, mut pings) = (Duration::ZERO, 0);
    loop {
        if let Ok(finished) = timeout(Duration::from_millis(50), &mut transfer).await {
            finished??;
            break;
        }
        worst = worst.max(ping_once(conn).await?);
        pings += 1;
    }
    if worst > Duration::from_millis(500) {
        return Err(format!("a ping took {worst:?}").into());
    }
    Ok(json!({"worst_ping_ms": worst.as_millis() as u64, "pings": pings}))
}

async fn hash(conn: &Conn, n: u64) -> Res<Value> {
    let mut stream = conn.open(HASH).await?;
    write_pattern(&mut stream, 5, n).await?;
    stream.close().await?;
    let mut got = String::new();
    stream.read_to_string(&mut got).await?;
    if got != pattern_hash(5, n) {
        return Err(format!("wrong hash {got}").into());
    }
    Ok(json!({"bytes": n}))
}

async fn unknown_protocol(conn: &Conn) -> Res<Value> {
    let refusal = match conn.open(ABSENT).await {
        Ok(_) => return Err("a protocol that nobody serves was accepted".into()),
        Err(e) => e.to_string(),
    };
    if !refusal.contains("no protocols could be agreed upon") {
        return Err(format!("expected a failed negotiation: {refusal}").into());
    }
    alive(conn).await?;
    Ok(json!({"refusal": refusal}))
}

fn wrong_peer(dialed: Res<Conn>) -> Res<Value> {
    match dialed {
        Ok(_) => Err("connected although the peer id is another".into()),
        Err(e) if e.to_string().contains("Unexpected peer ID") => {
            Ok(json!({"refusal": e.to_string()}))
        }
        Err(e) => Err(format!("failed, but not for the peer id: {e}").into()),
    }
}

async fn perf(conn: &Conn, up: u64, down: u64) -> Res<Value> {
    let mut stream = conn.open(PERF).await?;
    let start = Instant::now();
    stream.write_all(&down.to_be_bytes()).await?;
    write_zeros(&mut stream, up).await?;
    stream.close().await?;
    let uploaded = start.elapsed().as_secs_f64();
    let (mut got, mut buf) = (0, vec![0; CHUNK]);
    loop {
        match stream.read(&mut buf).await? {
            0 => break,
            n => got += n as u64,
        }
    }
    if got != down {
        return Err(format!("received {got} bytes, expected {down}").into());
    }
    let all = start.elapsed().as_secs_f64();
    Ok(json!({
        "upload_bytes": up, "download_bytes": got, "seconds": all,
        "upload_seconds": uploaded, "download_seconds": all - uploaded,
    }))
}

/// Every RandomState has other keys: randomness from the standard library.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

async fn soak_round(conn: &Conn, worker: u32) -> Res<()> {
    if worker == 0 {
        // rust serves one ping stream at a time: only one worker pings
        return ping_once(conn).await.map(drop);
    }
    match random() % 10 {
        1 => {
            let mut stream = conn.open(ECHO).await?;
            write_pattern(&mut stream, 3, random() % 100_000).await?;
        }
        2 => echo(conn, (1 << 20) + random() % (1 << 20), None).await?,
        _ => echo(conn, random() % 70_000, None).await?,
    }
    Ok(())
}

/// Mixes sizes, resets and pings on one connection from several tasks at once.
async fn soak(conn: &Conn, time: Duration) -> Res<Value> {
    let end = Instant::now() + time;
    let workers = (0..8).map(async |worker| {
        let mut rounds = 0;
        while Instant::now() < end {
            soak_round(conn, worker).await?;
            rounds += 1;
        }
        Res::Ok(rounds)
    });
    let mut rounds = 0;
    for worker in join_all(workers).await {
        rounds += worker?;
    }
    Ok(json!({"rounds": rounds}))
}
