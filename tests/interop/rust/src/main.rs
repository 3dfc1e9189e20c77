//! The rust-libp2p side of the interoperability tests. See ../README.md for the commands.

mod bench;
mod dial;
mod node;
mod pattern;
mod serve;
mod streams;
mod transport;

use node::Options;
use pattern::Res;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub fn emit(event: Value) {
    println!("{event}");
}

fn parse(args: impl Iterator<Item = String>) -> Res<(Options, Vec<String>)> {
    let mut o = Options {
        transport: "tcp".into(),
        security: "noise".into(),
        muxer: "yamux".into(),
        key_type: "ed25519".into(),
        port: "0".into(),
        record: "none".into(),
        psk: "".into(),
        web: "".into(),
        identify: true,
        ping_every: Duration::from_secs(3600),
    };
    let (mut rest, mut args) = (vec![], args);
    while let Some(arg) = args.next() {
        let place = match arg.as_str() {
            "--transport" => &mut o.transport,
            "--security" => &mut o.security,
            "--muxer" => &mut o.muxer,
            "--key-type" => &mut o.key_type,
            "--port" => &mut o.port,
            "--record" => &mut o.record,
            "--psk" => &mut o.psk,
            "--web" => &mut o.web,
            _ if arg.starts_with("--") => return Err(format!("option {arg}: unknown").into()),
            _ => {
                rest.push(arg);
                continue;
            }
        };
        *place = args
            .next()
            .ok_or(format!("option {arg}: without a value"))?;
    }
    Ok((o, rest))
}

/// Prints the one result line and returns the exit code.
fn report(test: &str, start: Instant, result: Res<Value>) -> ExitCode {
    let ok = result.is_ok();
    let mut line = result.unwrap_or_else(|e| json!({"error": e.to_string()}));
    line["event"] = json!("result");
    line["test"] = json!(test);
    line["ok"] = json!(ok);
    if line.get("seconds").is_none() {
        line["seconds"] = json!(start.elapsed().as_secs_f64());
    }
    emit(line);
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run() -> Res<ExitCode> {
    let (mut options, rest) = parse(std::env::args().skip(1))?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let start = Instant::now();
    let numbers = |args: &[&str]| {
        args.iter()
            .map(|a| a.parse())
            .collect::<Result<Vec<u64>, _>>()
    };
    match rest[..] {
        ["listen" | "bench-server"] => {
            serve::listen(&options).await?;
            Ok(ExitCode::SUCCESS)
        }
        ["dial", addr, test, ref args @ ..] => {
            let args = numbers(args)?;
            if test == "ping" {
                options.ping_every = Duration::from_millis(100);
            }
            Ok(report(
                test,
                start,
                dial::dial(&options, addr, test, &args).await,
            ))
        }
        ["bench", addr, kind, ref args @ ..] => {
            let args = numbers(args)?;
            let result = bench::bench(options, addr, kind, &args).await;
            Ok(report(&format!("bench-{kind}"), start, result))
        }
        _ => Err(
            "usage: peer listen | bench-server | dial ADDR TEST [ARG]... | bench ADDR KIND ARG..."
                .into(),
        ),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    run().await.unwrap_or_else(|e| {
        eprintln!("{e}");
        ExitCode::from(2)
    })
}
