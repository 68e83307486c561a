//! Going on as another program in the same process: the sandboxes stay its children, the clients stay connected, and the
//! run directory stays locked throughout.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::peers::Client;
use super::registry::{Afterwards, Entry, Phase, Registry};
use super::serve::{Post, Server};
use super::{RESUME_ARG, new_registry, refused};
use crate::cgroup::Cgroups;
use crate::container::{IdRange, Process, Stage};
use crate::protocol::{self, Reply};
use crate::rendezvous::PROCESS_NAME;
use crate::{RuntimeError, SPAWNER_ARG, sys};

/// What the next program is told. Descriptors are numbers, which an exec leaves as they are.
#[derive(Serialize, Deserialize)]
struct Baggage {
    protocol: u32,
    run_dir: PathBuf,
    instance: String,
    directory: RawFd,
    lock: RawFd,
    listener: RawFd,
    stage: RawFd,
    clients: Vec<Connected>,
    /// The client that waits for the answer.
    asker: u64,
    containers: Vec<Held>,
}

#[derive(Serialize, Deserialize)]
struct Connected {
    id: u64,
    greeted: bool,
    watching: bool,
    socket: RawFd,
}

#[derive(Serialize, Deserialize)]
struct Held {
    name: String,
    process: Option<HeldProcess>,
    ids: Option<IdRange>,
    disk: PathBuf,
    phase: Phase,
    afterwards: Afterwards,
    suspended: bool,
    oom_kills: u64,
    ended_by_memory: bool,
}

#[derive(Serialize, Deserialize)]
struct HeldProcess {
    pid: i32,
    pidfd: RawFd,
    is_child: bool,
}

impl Server {
    /// Becomes the program in `handles`. Returns only to say why that failed; all is then as before.
    pub(super) fn go_on_as(&mut self, asker: u64, mut handles: Vec<OwnedFd>) -> RuntimeError {
        let Some(program) = handles.pop() else { return refused("a take-over comes with a program") };
        // They are cut off and ask the next program. What they asked for was not begun or can be asked for again.
        self.drop_waiting();
        let kept = self.kept_descriptors();
        let outcome = self.pack(asker).and_then(|baggage| {
            mark(&kept, FdFlags::empty())?;
            let (run_dir, number) = (self.post.run_dir.to_string_lossy(), baggage.as_raw_fd().to_string());
            let args = ["sandgate", SPAWNER_ARG, &run_dir, &self.post.instance, RESUME_ARG, &number];
            let args = sys::c_strings(args.map(str::to_owned))?;
            fcntl_setfd(&baggage, FdFlags::empty())?;
            Err::<(), _>(sys::execute(program.as_fd(), &args, &[]))
        });
        // A sandbox must not inherit them, should this program go on.
        let _ = mark(&kept, FdFlags::CLOEXEC);
        RuntimeError::io("become the new program")(outcome.expect_err("an exec returns to fail"))
    }

    fn kept_descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let Post { directory, lock, listener, .. } = &self.post;
        let post = [directory.as_fd(), lock.as_fd(), listener.as_fd(), self.registry.stage.root()];
        let clients = self.clients.iter().map(Client::socket);
        let processes = self.registry.entries.values().filter_map(|entry| entry.process.as_ref());
        post.into_iter().chain(clients).chain(processes.map(Process::pidfd)).collect()
    }

    fn pack(&self, asker: u64) -> std::io::Result<File> {
        let Post { run_dir, instance, directory, lock, listener } = &self.post;
        let baggage = Baggage {
            protocol: protocol::VERSION,
            run_dir: run_dir.clone(),
            instance: instance.clone(),
            directory: directory.as_raw_fd(),
            lock: lock.as_raw_fd(),
            listener: listener.as_raw_fd(),
            stage: self.registry.stage.root().as_raw_fd(),
            clients: self.clients.iter().map(Connected::of).collect(),
            asker,
            containers: self.registry.entries.iter().map(|(name, entry)| Held::of(name, entry)).collect(),
        };
        let mut file = File::from(memfd_create("baggage", MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(&baggage)?)?;
        file.rewind()?;
        Ok(file)
    }
}

/// Goes on where the program before has stopped, with what it has left in descriptor `number`.
pub(super) fn resume(number: &str) -> Result<Server, RuntimeError> {
    let _ = rustix::thread::set_name(PROCESS_NAME);
    let failed = || RuntimeError::io("read what the program before has left");
    let number = number.parse().map_err(|_| refused("the number of the descriptor is none"))?;
    let mut text = String::new();
    File::from(sys::inherited(number).map_err(failed())?).read_to_string(&mut text).map_err(failed())?;
    let baggage: Baggage =
        serde_json::from_str(&text).map_err(|error| failed()(std::io::Error::from(error)))?;
    baggage.unpack().map_err(RuntimeError::io("keep what the program before has left"))?
}

impl Baggage {
    fn unpack(self) -> std::io::Result<Result<Server, RuntimeError>> {
        let post = Post {
            directory: sys::inherited(self.directory)?,
            lock: File::from(sys::inherited(self.lock)?),
            listener: sys::inherited(self.listener)?,
            run_dir: self.run_dir,
            instance: self.instance,
        };
        let stage = Stage::kept(sys::inherited(self.stage)?);
        let same = self.protocol == protocol::VERSION;
        let clients =
            self.clients.into_iter().map(|client| client.accept(same)).collect::<Result<Vec<_>, _>>()?;
        let containers =
            self.containers.into_iter().map(Held::processed).collect::<std::io::Result<Vec<_>>>()?;
        Ok(server(post, stage, clients, containers).map(|mut server| {
            server.reply(self.asker, &Reply::Done, &[]);
            server
        }))
    }
}

fn server(
    post: Post,
    stage: Stage,
    clients: Vec<Client>,
    containers: Vec<(Held, Option<Process>)>,
) -> Result<Server, RuntimeError> {
    let mut registry = new_registry(Cgroups::open(&post.instance)?, stage, &post.instance);
    for (held, process) in containers {
        held.enter(process, &mut registry);
    }
    registry.adopt_all();
    Server::new(post, registry, clients)
}

impl Connected {
    fn of(client: &Client) -> Self {
        let (id, greeted, watching) = (client.id, client.greeted, client.watching);
        Self { id, greeted, watching, socket: client.socket().as_raw_fd() }
    }

    /// Who was greeted in another version has to be greeted again.
    fn accept(self, same: bool) -> std::io::Result<Client> {
        let socket = sys::inherited(self.socket)?;
        Ok(Client::kept(self.id, socket, (self.greeted && same, self.watching && same)))
    }
}

impl Held {
    fn of(name: &str, entry: &Entry) -> Self {
        let process = entry.process.as_ref().map(|process| HeldProcess {
            pid: process.pid.as_raw_nonzero().get(),
            pidfd: process.pidfd().as_raw_fd(),
            is_child: process.is_child(),
        });
        let Entry { ids, ref disk, phase, afterwards, suspended, oom_kills, ended_by_memory, .. } = *entry;
        let (name, disk) = (name.to_owned(), disk.clone());
        Self { name, process, ids, disk, phase, afterwards, suspended, oom_kills, ended_by_memory }
    }

    fn processed(mut self) -> std::io::Result<(Self, Option<Process>)> {
        let process = self.process.take().map(|HeldProcess { pid, pidfd, is_child }| {
            let pidfd = sys::inherited(pidfd)?;
            let pid = Pid::from_raw(pid).ok_or(rustix::io::Errno::INVAL)?;
            Ok::<_, std::io::Error>(Process::kept(pid, pidfd, is_child))
        });
        Ok((self, process.transpose()?))
    }

    fn enter(self, process: Option<Process>, registry: &mut Registry) {
        let group = registry.cgroups.group(&self.name);
        let mut entry = Entry::new(process, group, (self.phase, self.afterwards));
        (entry.ids, entry.disk, entry.suspended) = (self.ids, self.disk, self.suspended);
        (entry.oom_kills, entry.ended_by_memory) = (self.oom_kills, self.ended_by_memory);
        registry.insert(self.name, entry);
    }
}

fn mark(descriptors: &[BorrowedFd<'_>], flags: FdFlags) -> std::io::Result<()> {
    Ok(descriptors.iter().try_for_each(|descriptor| fcntl_setfd(descriptor, flags))?)
}
