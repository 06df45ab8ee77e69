//! What servers that a test plays have in common: a loopback port, and a thread for each connection.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The pause between two looks for a connection.
const TICK: Duration = Duration::from_millis(1);

/// Listens on a loopback port. Dropping it tells the servers to stop and waits for their threads.
pub struct Acceptor {
    listener: TcpListener,
    address: String,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    open: AtomicUsize,
}

impl Acceptor {
    /// Binds a free port. Nobody is served yet.
    pub fn bind() -> Acceptor {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Acceptor {
            listener,
            address,
            stop: Arc::default(),
            counts: Arc::default(),
            thread: None,
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// Becomes true when the servers are to stop.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Serves each connection, counted from 0, on a thread of its own.
    pub fn serve(&mut self, serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) {
        let (listener, stop) = (self.listener.try_clone().unwrap(), self.stop());
        let (serve, counts) = (Arc::new(serve), Arc::clone(&self.counts));
        self.thread = Some(thread::spawn(move || {
            let mut servers: Vec<JoinHandle<()>> = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(TICK);
                    continue;
                };
                let index = counts.connections.fetch_add(1, Ordering::SeqCst);
                counts.open.fetch_add(1, Ordering::SeqCst);
                let (serve, counts) = (Arc::clone(&serve), Arc::clone(&counts));
                servers.push(thread::spawn(move || {
                    serve(index, stream);
                    counts.open.fetch_sub(1, Ordering::SeqCst);
                }));
                servers.retain(|server| !server.is_finished());
            }
            for server in servers {
                let _ = server.join();
            }
        }));
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
