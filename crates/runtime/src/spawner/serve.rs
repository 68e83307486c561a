//! The spawner's loop: requests and deaths, one after the other, and nothing that waits for long.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::peers::Client;
use super::registry::Registry;
use super::remove_socket;
use super::requests::{Step, Then, refused};
use crate::protocol::{self, Received, Reply, Request};

/// How long the spawner stays when nobody needs it.
const LINGER: Duration = Duration::from_secs(2);

/// The first pause while the kernel takes a sandbox down, and the longest.
const PAUSE: [Duration; 2] = [Duration::from_micros(250), Duration::from_millis(10)];

/// The spawner at work.
pub(super) struct Server {
    directory: OwnedFd,
    listener: OwnedFd,
    registry: Registry,
    clients: Vec<Client>,
    next_client: u64,
    waiting: Vec<Waiting>,
    pause: Duration,
    unused_since: Option<Instant>,
    buffer: Vec<u8>,
}

/// A request that can be answered when container `name` has been released.
struct Waiting {
    client: u64,
    name: String,
    then: Then,
}

/// What `poll` has found.
struct Ready {
    listener: bool,
    clients: Vec<u64>,
    ended: Vec<String>,
}

impl Server {
    pub(super) fn new(directory: OwnedFd, listener: OwnedFd, registry: Registry) -> Self {
        Self {
            directory,
            listener,
            registry,
            clients: Vec::new(),
            next_client: 0,
            waiting: Vec::new(),
            pause: PAUSE[0],
            unused_since: None,
            buffer: Vec::new(),
        }
    }

    /// Serves until nobody needs a spawner.
    pub(super) fn run(mut self) {
        while !self.is_over() {
            let ready = self.wait();
            for name in &ready.ended {
                self.registry.reap(name);
                self.pause = PAUSE[0];
            }
            for client in ready.clients {
                self.serve(client);
            }
            if ready.listener {
                self.accept();
            }
            self.release();
        }
        // From here on a client finds no socket and starts the next spawner, which waits for the lock. One that has
        // connected a moment ago is cut off and does the same.
        remove_socket(&self.directory);
        self.registry.cgroups.remove_parents();
    }

    /// Whether nobody has needed us for long enough.
    fn is_over(&mut self) -> bool {
        if !(self.clients.is_empty() && self.waiting.is_empty() && self.registry.is_idle()) {
            self.unused_since = None;
            return false;
        }
        self.unused_since.get_or_insert_with(Instant::now).elapsed() >= LINGER
    }

    /// Sleeps until something happens, or it is time to look again.
    fn wait(&self) -> Ready {
        let living: Vec<(&str, BorrowedFd<'_>)> = self.registry.living().collect();
        let sockets = [self.listener.as_fd()].into_iter().chain(self.clients.iter().map(Client::socket));
        let handles = sockets.chain(living.iter().map(|(_, pidfd)| *pidfd));
        let mut polled: Vec<PollFd<'_>> =
            handles.map(|handle| PollFd::from_borrowed_fd(handle, PollFlags::IN)).collect();
        let timeout = self.timeout().and_then(|timeout| Timespec::try_from(timeout).ok());
        // Interrupted or not: whatever is ready is marked.
        let _ = poll(&mut polled, timeout.as_ref());
        let mut marks = polled.iter().map(|polled| !polled.revents().is_empty());
        let listener = marks.next().unwrap_or(false);
        let clients = self.clients.iter().map(|client| client.id);
        let clients = clients.zip(&mut marks).filter_map(|(id, mark)| mark.then_some(id)).collect();
        let names = living.iter().map(|(name, _)| (*name).to_owned());
        let ended = names.zip(&mut marks).filter_map(|(name, mark)| mark.then_some(name)).collect();
        Ready { listener, clients, ended }
    }

    fn timeout(&self) -> Option<Duration> {
        if self.registry.is_releasing() {
            return Some(self.pause);
        }
        self.unused_since.map(|since| LINGER.saturating_sub(since.elapsed()))
    }

    fn accept(&mut self) {
        self.next_client += 1;
        self.clients.extend(Client::accept(self.listener.as_fd(), self.next_client));
    }

    /// Handles one request of the client. Who hangs up or does not keep to the protocol is dropped.
    fn serve(&mut self, id: u64) {
        let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else { return };
        match client.receive(&mut self.buffer) {
            Ok(Some(Received { message: Request::Hello { version }, .. })) => {
                client.greeted = version == protocol::VERSION;
                let reply = greeting(client.greeted, version);
                self.reply(id, &reply, &[]);
            }
            Ok(Some(request)) if client.greeted => self.handle(id, request),
            _ => self.drop_client(id),
        }
    }

    fn handle(&mut self, client: u64, request: Received<Request>) {
        match self.registry.step(request) {
            Step::Reply(reply) => self.reply(client, &reply, &[]),
            Step::ReplyWithHandle(reply, name) => self.reply_with_handle(client, &reply, &name),
            Step::Wait(name, then) => {
                self.pause = PAUSE[0];
                self.waiting.push(Waiting { client, name, then });
            }
        }
    }

    /// Releases what is free by now, and answers those who waited for it.
    fn release(&mut self) {
        if !self.registry.is_releasing() {
            return;
        }
        let released = self.registry.release();
        if released.is_empty() {
            self.pause = (self.pause * 2).min(PAUSE[1]);
        }
        for name in released {
            let waiting = std::mem::take(&mut self.waiting).into_iter();
            let (ready, waiting): (Vec<_>, _) = waiting.partition(|waiting| waiting.name == name);
            self.waiting = waiting;
            for waiting in ready {
                self.resume(waiting);
            }
        }
    }

    fn resume(&mut self, Waiting { client, then, .. }: Waiting) {
        match then {
            Then::Retry(request) => self.handle(client, request),
            Then::Reply(reply) => self.reply(client, &reply, &[]),
        }
    }

    fn reply_with_handle(&mut self, client: u64, reply: &Reply, name: &str) {
        let process = self.registry.entries.get(name).and_then(|entry| entry.process.as_ref());
        let pidfd = process.and_then(|process| rustix::io::fcntl_dupfd_cloexec(process.pidfd(), 0).ok());
        match pidfd {
            Some(pidfd) => self.reply(client, reply, &[pidfd.as_fd()]),
            None => self.reply(client, &refused("it has no handle of the process to spare"), &[]),
        }
    }

    fn reply(&mut self, id: u64, reply: &Reply, handles: &[BorrowedFd<'_>]) {
        let client = self.clients.iter().find(|client| client.id == id);
        if client.is_some_and(|client| client.reply(reply, handles).is_err()) {
            self.drop_client(id);
        }
    }

    fn drop_client(&mut self, id: u64) {
        self.clients.retain(|client| client.id != id);
    }
}

fn greeting(welcome: bool, theirs: u32) -> Reply {
    if welcome {
        return Reply::Hello { version: protocol::VERSION };
    }
    let ours = protocol::VERSION;
    refused(&format!("it speaks version {ours} and the client {theirs}; stop all sandboxes and start again"))
}
