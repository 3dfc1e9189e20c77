use crate::dial::{dial, echo};
use crate::emit;
use crate::node::{Node, Options, target};
use crate::pattern::Res;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

fn rate(count: u64, start: Instant) -> Value {
    let seconds = start.elapsed().as_secs_f64();
    json!({"count": count, "seconds": seconds, "per_second": count as f64 / seconds})
}

/// The resident memory of this process.
fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        << 10
}

pub async fn bench(mut options: Options, addr: &str, kind: &str, args: &[u64]) -> Res<Value> {
    if kind == "perf" {
        return dial(&options, addr, kind, args).await;
    }
    options.identify = false;
    let (peer, addr) = target(addr)?;
    let (node, _accepted, mut pings) = Node::start(&options, vec![], false)?;
    let n = args.first().copied().unwrap_or(100);
    let (before, start) = (rss_bytes(), Instant::now());
    match kind {
        "streams" => {
            let conn = node.dial(peer, addr).await?;
            let start = Instant::now();
            for _ in 0..n {
                echo(&conn, 1, None).await?;
            }
            Ok(rate(n, start))
        }
        "conns" => {
            for _ in 0..n {
                let conn = node.dial(peer, addr.clone()).await?;
                conn.next_ping(&mut pings).await?;
                conn.close().await?;
            }
            Ok(rate(n, start))
        }
        // Keeps its connections until its stdin ends, so that the other side can be measured.
        "idle" => {
            let mut held = vec![];
            for _ in 0..n {
                let conn = node.dial(peer, addr.clone()).await?;
                conn.next_ping(&mut pings).await?;
                held.push(conn);
            }
            let mut result = rate(n, start);
            tokio::time::sleep(Duration::from_secs(1)).await;
            result["rss_before_bytes"] = json!(before);
            result["rss_bytes"] = json!(rss_bytes());
            emit(json!({"event": "idle", "connections": n, "rss_bytes": result["rss_bytes"]}));
            tokio::io::stdin().read_to_end(&mut vec![]).await?;
            for conn in &held {
                echo(conn, 1, None).await?;
            }
            Ok(result)
        }
        _ => Err(format!("no benchmark named {kind}").into()),
    }
}
