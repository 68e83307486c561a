//! The spawner's loop: requests and deaths, one after the other, and nothing that waits for long.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::events::{Events, Token};
use super::peers::Client;
use super::registry::Registry;
use super::remove_socket;
use super::requests::{Step, Then};
use crate::protocol::{self, Received, Reply, Request};
use crate::{RuntimeError, rendezvous, sys};

/// How long the spawner stays when nobody needs it.
const LINGER: Duration = Duration::from_secs(2);

/// The first pause while the kernel takes a sandbox down, and the longest.
const PAUSE: [Duration; 2] = [Duration::from_micros(250), Duration::from_millis(10)];

/// How long after its word of a lack of memory the kernel has certainly killed somebody and counted it.
const KILL_TIME: Duration = Duration::from_millis(100);

/// Connections beyond this are closed at once: a gateway keeps a few dozen.
const MAX_CLIENTS: usize = 512;

/// What ties a spawner to its run directory.
pub(super) struct Post {
    pub(super) run_dir: PathBuf,
    pub(super) instance: String,
    pub(super) directory: OwnedFd,
    pub(super) lock: File,
    pub(super) listener: OwnedFd,
}

/// The spawner at work.
pub(super) struct Server {
    pub(super) post: Post,
    pub(super) registry: Registry,
    pub(super) clients: Vec<Client>,
    build: String,
    events: Events,
    children: OwnedFd,
    next_client: u64,
    waiting: Vec<Waiting>,
    pause: Duration,
    unused_since: Option<Instant>,
    /// Containers whose kills are to be counted again at that time.
    uncounted: Vec<(Instant, u64)>,
    buffer: Vec<u8>,
}

/// A request that can be answered when container `name` has been released.
struct Waiting {
    client: u64,
    name: String,
    then: Then,
}

impl Server {
    pub(super) fn new(post: Post, registry: Registry, clients: Vec<Client>) -> Result<Self, RuntimeError> {
        let events = Events::new().map_err(RuntimeError::io("wait for events"))?;
        let children = sys::children_signal().map_err(RuntimeError::io("wait for children"))?;
        let build = rendezvous::build_of("/proc/self/exe".as_ref())
            .map_err(RuntimeError::io("examine our program"))?;
        events
            .add(&post.listener, Token::Listener)
            .and_then(|()| events.add(&children, Token::Children))
            .and_then(|()| {
                clients.iter().try_for_each(|client| events.add(client.socket(), Token::Client(client.id)))
            })
            .map_err(RuntimeError::io("wait for clients"))?;
        let next_client = clients.iter().map(|client| client.id).max().unwrap_or(0);
        let (waiting, uncounted, buffer) = (Vec::new(), Vec::new(), Vec::new());
        let (pause, unused_since) = (PAUSE[0], None);
        let mut server = Self {
            post,
            registry,
            clients,
            build,
            events,
            children,
            next_client,
            waiting,
            pause,
            unused_since,
            uncounted,
            buffer,
        };
        server.registry.watch_new(&server.events);
        Ok(server)
    }

    /// Serves until nobody needs a spawner.
    pub(super) fn run(mut self) {
        while !self.is_over() {
            let limit = self.limit();
            for token in self.events.wait(limit) {
                self.attend(token);
            }
            self.count_again();
            self.release();
            // After the answers: nobody waits for it.
            self.registry.watch_new(&self.events);
        }
        // From here on a client finds no socket and starts the next spawner, which waits for the lock. One that has
        // connected a moment ago is cut off and does the same.
        remove_socket(&self.post.directory);
        self.registry.cgroups.remove_parents();
    }

    fn attend(&mut self, token: Token) {
        match token {
            Token::Listener => self.accept(),
            Token::Children => self.look_for_suspended(),
            Token::Client(id) => self.serve(id),
            Token::Process(number) => self.reap(number),
            Token::Memory(number) => {
                if !self.count_kills(number) {
                    // The kernel of version 1 speaks before it kills.
                    self.uncounted.push((Instant::now() + KILL_TIME, number));
                }
            }
        }
    }

    /// Whether nobody has needed us for long enough.
    fn is_over(&mut self) -> bool {
        if !(self.clients.is_empty() && self.waiting.is_empty() && self.registry.is_idle()) {
            self.unused_since = None;
            return false;
        }
        self.unused_since.get_or_insert_with(Instant::now).elapsed() >= LINGER
    }

    /// How long to sleep at most.
    fn limit(&self) -> Option<Duration> {
        let releasing = self.registry.is_releasing().then_some(self.pause);
        let unwatched = self.registry.has_unwatched().then_some(KILL_TIME);
        let uncounted =
            self.uncounted.iter().map(|(at, _)| at.saturating_duration_since(Instant::now())).min();
        let unused = self.unused_since.map(|since| LINGER.saturating_sub(since.elapsed()));
        [releasing, unwatched, uncounted, unused].into_iter().flatten().min()
    }

    fn accept(&mut self) {
        self.next_client += 1;
        let Some(client) = Client::accept(self.post.listener.as_fd(), self.next_client) else { return };
        if self.clients.len() < MAX_CLIENTS
            && self.events.add(client.socket(), Token::Client(client.id)).is_ok()
        {
            self.clients.push(client);
        }
    }

    fn reap(&mut self, number: u64) {
        self.pause = PAUSE[0];
        if let Some(name) = self.registry.reap(number, &self.events) {
            self.announce(name);
        }
    }

    /// Whether there were any since the last time.
    fn count_kills(&mut self, number: u64) -> bool {
        let name = self.registry.count_kills(number);
        let found = name.is_some();
        if let Some(name) = name {
            self.announce(name);
        }
        found
    }

    fn count_again(&mut self) {
        let now = Instant::now();
        let due: Vec<u64> =
            self.uncounted.extract_if(.., |(at, _)| *at <= now).map(|(_, number)| number).collect();
        for number in due {
            self.count_kills(number);
        }
    }

    fn look_for_suspended(&mut self) {
        // It tells that there is something; what it is, the children themselves are asked.
        let _ = rustix::io::read(&self.children, &mut [0; 1024]);
        for name in self.registry.look_for_suspended() {
            self.announce(name);
        }
    }

    /// Tells whoever watches that something has happened to a container. Who does not read is dropped, and finds out by
    /// connecting again.
    fn announce(&mut self, name: String) {
        let news = Reply::Changed { name };
        let watchers: Vec<u64> =
            self.clients.iter().filter(|client| client.watching).map(|client| client.id).collect();
        for id in watchers {
            self.reply(id, &news, &[]);
        }
    }

    /// Handles one request of the client. Who hangs up or does not keep to the protocol is dropped.
    fn serve(&mut self, id: u64) {
        let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else { return };
        match client.receive(&mut self.buffer) {
            Ok(Some(Received { message: Request::Hello { version }, .. })) => {
                client.greeted = version == protocol::VERSION;
                let hello = Reply::Hello { version: protocol::VERSION, build: self.build.clone() };
                self.reply(id, &hello, &[]);
            }
            Ok(Some(Received { message: Request::TakeOver, handles })) => {
                let failure = self.go_on_as(id, handles);
                self.reply(id, &Reply::Failed(failure), &[]);
            }
            Ok(Some(Received { message: Request::Watch, .. })) if client.greeted => {
                client.watching = true;
                self.reply(id, &Reply::Done, &[]);
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

    /// A client that cannot be told is dropped and asks again, and then the container is there.
    fn reply_with_handle(&mut self, id: u64, reply: &Reply, name: &str) {
        let process = self.registry.entries.get(name).and_then(|entry| entry.process.as_ref());
        let client = self.clients.iter().find(|client| client.id == id);
        let told = client
            .zip(process)
            .is_some_and(|(client, process)| client.reply(reply, &[process.pidfd()]).is_ok());
        if !told {
            self.drop_client(id);
        }
    }

    pub(super) fn reply(&mut self, id: u64, reply: &Reply, handles: &[BorrowedFd<'_>]) {
        let client = self.clients.iter().find(|client| client.id == id);
        if client.is_some_and(|client| client.reply(reply, handles).is_err()) {
            self.drop_client(id);
        }
    }

    /// Drops the clients that wait for something: they ask again, on another connection.
    pub(super) fn drop_waiting(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.drop_client(waiting.client);
        }
    }

    fn drop_client(&mut self, id: u64) {
        self.clients.retain(|client| client.id != id);
    }
}
