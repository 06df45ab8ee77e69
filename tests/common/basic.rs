//! What every test needs: waiting, addresses and directories of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Asks `probe` again and again until it answers, and panics with `what` when the deadline passes.
pub fn wait_for<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited {deadline:?} in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A number that no other caller in this process gets.
pub fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A loopback address for listeners of this call alone: 127.x.y.z from the process id and a counter.
///
/// A port picked on 127.0.0.1 and freed again may be taken by any outgoing connection before it is bound.
/// Nobody picks ports of these addresses.
pub fn loopback() -> String {
    let process = process::id();
    format!(
        "127.{}.{}.{}",
        1 + (unique() + (process >> 16) * 16) % 250,
        process >> 8 & 0xff,
        1 + process % 0xff
    )
}

/// A new empty directory that is removed with its contents on drop.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        let path = std::env::temp_dir().join(format!("quorate-{}-{}", process::id(), unique()));
        fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
