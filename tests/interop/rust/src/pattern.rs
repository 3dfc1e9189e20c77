//! The bytes that all peer programs here send and expect: the top byte of a 32-bit linear
//! congruential generator, so that lost, doubled or reordered bytes never pass.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use sha2::{Digest, Sha256};
use std::time::Duration;

pub type Res<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub const CHUNK: usize = 64 << 10;

pub struct Pattern(u32);

impl Pattern {
    pub fn new(seed: u32) -> Self {
        Pattern(seed)
    }

    pub fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(1664525).wrapping_add(1013904223);
            *byte = (self.0 >> 24) as u8;
        }
    }
}

fn chunk_of(left: u64) -> usize {
    left.min(CHUNK as u64) as usize
}

pub async fn write_pattern(to: &mut (impl AsyncWrite + Unpin), seed: u32, n: u64) -> Res<()> {
    let (mut pattern, mut buf, mut left) = (Pattern::new(seed), vec![0; CHUNK], n);
    while left > 0 {
        let chunk = &mut buf[..chunk_of(left)];
        pattern.fill(chunk);
        to.write_all(chunk).await?;
        left -= chunk.len() as u64;
    }
    to.flush().await?;
    Ok(())
}

pub async fn write_zeros(to: &mut (impl AsyncWrite + Unpin), n: u64) -> Res<()> {
    let (buf, mut left) = (vec![0; CHUNK], n);
    while left > 0 {
        let k = chunk_of(left);
        to.write_all(&buf[..k]).await?;
        left -= k as u64;
    }
    to.flush().await?;
    Ok(())
}

/// How slowly to read: once before the first chunk's successor, then after each.
pub struct Pace {
    pub first: Duration,
    pub each: Duration,
}

/// Reads exactly n bytes of the pattern and then the end of the stream.
pub async fn expect_pattern(
    from: &mut (impl AsyncRead + Unpin),
    seed: u32,
    n: u64,
    pace: Option<Pace>,
) -> Res<()> {
    let (mut pattern, mut at) = (Pattern::new(seed), 0);
    let (mut got, mut want) = (vec![0; CHUNK], vec![0; CHUNK]);
    while at < n {
        let k = chunk_of(n - at);
        from.read_exact(&mut got[..k])
            .await
            .map_err(|e| format!("between {at} and {} of {n} bytes: {e}", at + k as u64))?;
        pattern.fill(&mut want[..k]);
        if got[..k] != want[..k] {
            return Err(format!("wrong bytes between {at} and {}", at + k as u64).into());
        }
        if let Some(pace) = &pace {
            tokio::time::sleep(if at == 0 { pace.first } else { pace.each }).await;
        }
        at += k as u64;
    }
    match from.read(&mut got).await? {
        0 => Ok(()),
        _ => Err("bytes after the expected end".into()),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn pattern_hash(seed: u32, n: u64) -> String {
    let (mut pattern, mut hash, mut left) = (Pattern::new(seed), Sha256::new(), n);
    let mut buf = vec![0; CHUNK];
    while left > 0 {
        let chunk = &mut buf[..chunk_of(left)];
        pattern.fill(chunk);
        hash.update(&*chunk);
        left -= chunk.len() as u64;
    }
    hex(&hash.finalize())
}
