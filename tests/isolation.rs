//! What code in a sandbox must not reach, tried from inside; and what it may break, which is its own sandbox only.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};

use sandgate_tests::{Sandbox, Server, until, wait_until};
use serde_json::{Value, json};

/// As whom a sandbox may run. Root inside is the stronger of the two.
const USERS: [&str; 2] = ["daytona", "root"];

async fn as_user<'a>(server: &'a Server, user: &str) -> Sandbox<'a> {
    server.create(&json!({ "user": user })).await
}

/// A process of the host with a command line that nobody else has.
struct HostProcess(Child);

impl HostProcess {
    fn start(marker: &str) -> Self {
        let mut sleep = Command::new("sleep");
        Self(sleep.arg(marker).stdin(Stdio::null()).spawn().expect("sleep starts"))
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn host_files_are_out_of_reach() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder on the host");
    let secret = folder.path().join("secret");
    fs::write(&secret, "host secret").expect("a file on the host");
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    for user in USERS {
        let sandbox = as_user(&server, user).await;
        sandbox.fails(&format!("cat {}", secret.display())).await;
        sandbox.fails(&format!("cat /proc/1/root{}", secret.display())).await;
        sandbox.fails(&format!("ls {}", server.data().display())).await;
        let shadow = sandbox.run("cat /etc/shadow").await.output;
        assert!(!shadow.contains("$y$") && !shadow.contains("$6$"), "no password of the host: {shadow}");
        let id = sandbox.run("cat /etc/machine-id").await.output;
        assert!(machine.trim().is_empty() || id.trim() != machine.trim(), "the host's machine id is private");
        sandbox.fails("touch /usr/bin/intruder").await;
        sandbox.fails("echo x > /usr/bin/env").await;
        sandbox.delete().await;
    }
}

#[tokio::test]
async fn host_processes_are_out_of_sight() {
    let server = Server::start().await;
    let marker = HostProcess::start("86399.25");
    for user in USERS {
        let sandbox = as_user(&server, user).await;
        let lines = sandbox.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
        assert!(!lines.contains("86399.25"), "{lines}");
        sandbox.fails(&format!("kill -0 {}", marker.0.id())).await;
        let count: u32 = sandbox.sh("ls -d /proc/[0-9]* | wc -l").await.parse().expect("a number");
        assert!(count < 10, "only its own processes: {count}");
        sandbox.delete().await;
    }
}

#[tokio::test]
async fn sandboxes_do_not_see_each_other() {
    let server = Server::start().await;
    let (one, other) = (server.create(&json!({})).await, server.create(&json!({})).await);
    one.sh("echo private > /tmp/note; echo private > /dev/shm/note; sleep 86398.25 >/dev/null 2>&1 &").await;
    other.fails("cat /tmp/note").await;
    other.fails("cat /dev/shm/note").await;
    let lines = other.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
    assert!(!lines.contains("86398.25"), "{lines}");
    let listening = "import socket,subprocess as s; \
        l=socket.socket(socket.AF_UNIX); l.bind('\\0sandgate-test'); l.listen(); \
        t=socket.create_server(('127.0.0.1',7777)); \
        open('/tmp/ready','w').close(); import time; time.sleep(600)";
    one.sh(&format!("python3 -c \"{listening}\" >/dev/null 2>&1 &")).await;
    sandgate_tests::until("it listens", async || one.run("test -e /tmp/ready").await.code == 0).await;
    one.sh("exec 3<>/dev/tcp/127.0.0.1/7777").await;
    other.fails("exec 3<>/dev/tcp/127.0.0.1/7777").await;
    let connect = "import socket; socket.socket(socket.AF_UNIX).connect('\\0sandgate-test')";
    one.sh(&format!("python3 -c \"{connect}\"")).await;
    other.fails(&format!("python3 -c \"{connect}\"")).await;
    for namespace in ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"] {
        let read = format!("readlink /proc/self/ns/{namespace}");
        let (a, b) = (one.sh(&read).await, other.sh(&read).await);
        let host = fs::read_link(format!("/proc/self/ns/{namespace}")).expect("a namespace");
        assert!(a != b && a != host.to_string_lossy(), "{namespace}: {a} {b} {}", host.display());
    }
    one.delete().await;
    other.delete().await;
}

#[tokio::test]
async fn the_hosts_loopback_is_out_of_reach() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the host");
    listener.set_nonblocking(true).expect("it can be asked without waiting");
    let port = listener.local_addr().expect("its address").port();
    let gateway: Vec<_> = server.url().rsplit(':').map(str::to_owned).collect();
    for user in USERS {
        let sandbox = as_user(&server, user).await;
        for address in ["127.0.0.1", "localhost", "0.0.0.0", "::1"] {
            sandbox.fails(&format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'")).await;
            sandbox.fails(&format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{}'", gateway[0])).await;
        }
        sandbox.delete().await;
    }
    assert!(listener.accept().is_err(), "nobody came through");
}

#[tokio::test]
async fn mounts_namespaces_and_devices_are_refused() {
    let server = Server::start().await;
    for user in USERS {
        let sandbox = as_user(&server, user).await;
        sandbox.sh("mkdir -p /tmp/here").await;
        for command in [
            "mount -t tmpfs none /tmp/here",
            "mount --bind /etc /tmp/here",
            "umount /proc",
            "unshare -U true",
            "unshare -m true",
            "unshare -n true",
            "nsenter -t 1 -n true",
            "chroot / true",
            "mknod /tmp/disk b 254 0",
            "mknod /tmp/mem c 1 1",
            "losetup -f /tmp/x",
            "swapoff -a && swapon /tmp/x",
            "date -s 2000-01-01",
            "dmesg",
        ] {
            sandbox.fails(command).await;
        }
        // A call by number, where the tool would have refused by itself.
        let clone = "import ctypes,sys; c=ctypes.CDLL(None,use_errno=True); \
            sys.exit(0 if c.unshare(0x10000000)==0 or c.syscall(165,b'none',b'/tmp/here',b'tmpfs',0,0)==0 else 1)";
        sandbox.fails(&format!("python3 -c \"{clone}\"")).await;
        let blocks = sandbox.sh("find /dev -type b | wc -l").await;
        assert_eq!(blocks, "0", "no block device");
        sandbox
            .fails("ls /dev/mem /dev/kmsg /dev/kvm /dev/loop-control /dev/fuse 2>/dev/null | grep .")
            .await;
        sandbox.delete().await;
    }
}

#[tokio::test]
async fn the_kernels_settings_are_read_only() {
    let server = Server::start().await;
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a setting of the host");
    for user in USERS {
        let sandbox = as_user(&server, user).await;
        for file in [
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/kernel/hostname",
            "/proc/sys/kernel/modprobe",
            "/proc/sys/vm/overcommit_memory",
            "/proc/sys/net/ipv4/ip_forward",
            "/proc/sysrq-trigger",
            "/proc/irq/default_smp_affinity",
            "/sys/kernel/uevent_helper",
            "/sys/fs/cgroup/cgroup.procs",
        ] {
            sandbox.fails(&format!("cp {file} /tmp/was 2>/dev/null; echo 1 > {file}")).await;
        }
        for file in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
            assert_eq!(
                sandbox.run(&format!("head -c 16 {file} 2>/dev/null | wc -c")).await.output.trim(),
                "0",
                "{file}"
            );
        }
        sandbox.delete().await;
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a setting of the host"), pattern);
}

#[tokio::test]
async fn the_toolbox_is_neither_killed_nor_traced_nor_read() {
    let server = Server::start().await;
    for user in USERS {
        let sandbox = as_user(&server, user).await;
        for signal in 1..=64 {
            sandbox.run(&format!("kill -{signal} 1")).await;
        }
        let attach = "import ctypes,sys; c=ctypes.CDLL(None,use_errno=True); \
            sys.exit(0 if c.ptrace(16,1,0,0)==0 or c.ptrace(0x4206,1,0,0)==0 else 1)";
        sandbox.fails(&format!("python3 -c \"{attach}\"")).await;
        let vm_read = "import ctypes,sys; c=ctypes.CDLL(None,use_errno=True); b=ctypes.create_string_buffer(8); \
            v=(ctypes.c_size_t*2)(ctypes.addressof(b),8); r=(ctypes.c_size_t*2)(0x400000,8); \
            n=c.process_vm_readv(1,v,1,r,1,0); e=ctypes.get_errno(); sys.exit(0 if n>=0 or e==14 else 1)";
        sandbox.fails(&format!("python3 -c \"{vm_read}\"")).await;
        for file in ["mem", "environ", "maps", "auxv"] {
            sandbox.fails(&format!("cat /proc/1/{file} | head -c 1 | grep -q .")).await;
        }
        for command in [
            "ls /proc/1/fd/ | grep .",
            "cp /proc/1/exe /tmp/toolbox",
            "echo 1000 > /proc/1/oom_score_adj",
            "prlimit --pid 1 --nofile=1:1",
        ] {
            sandbox.fails(command).await;
        }
        assert_eq!(sandbox.sh("echo alive").await, "alive");
        sandbox.delete().await;
    }
}

#[tokio::test]
async fn a_fork_bomb_hurts_only_its_own_sandbox() {
    let server = Server::start().await;
    let (bomb, other) = (server.create(&json!({})).await, server.create(&json!({})).await);
    let request = json!({ "command": "f() { f | f & }; f; sleep 600", "timeout": 3 });
    let (ended, meanwhile) = tokio::join!(bomb.execute(&request), other.run("echo fine"));
    ended.toolbox_error(408);
    assert_eq!((meanwhile.code, &*meanwhile.output), (0, "fine\n"));
    assert_eq!(bomb.sh("echo alive").await, "alive", "its own toolbox still starts commands");
    bomb.delete().await;
    other.delete().await;
}

/// Root may be many users, and the limit of processes that each command has is counted by user.
#[tokio::test]
async fn a_fork_bomb_of_many_users_leaves_room_for_a_command() {
    let server = Server::start().await;
    let bomb = as_user(&server, "root").await;
    let user = "import os, signal, time\n\
        while True:\n    \
            try: os.fork() or signal.pause()\n    \
            except OSError: time.sleep(0.001)";
    drop(bomb.upload("/tmp/bomb.py", user.as_bytes()).await.expect(200));
    let start = "for user in 2001 2002 2003; do setsid setpriv --reuid $user --clear-groups python3 /tmp/bomb.py & done";
    bomb.sh(&format!("{{ {start}; }} >/dev/null 2>&1")).await;
    until("it has used up every process", async || server.sandbox_processes().len() >= 2040).await;
    for _ in 0..5 {
        assert_eq!(bomb.sh("echo alive").await, "alive");
    }
    bomb.delete().await;
}

/// Whoever has volunteered to die first may take that back; it is still larger than the toolbox.
#[tokio::test]
async fn a_memory_hog_that_does_not_volunteer_is_what_dies() {
    let server = Server::start().await;
    let hog = "open('/proc/self/oom_score_adj', 'w').write('0'); taken = []\n\
        while True: taken.append(b'x' * (1 << 22))";
    for user in USERS {
        let sandbox = server.create(&json!({ "memory": 1, "user": user })).await;
        for _ in 0..4 {
            let outcome = sandbox.run(&format!("python3 -c \"{hog}\"")).await;
            assert_eq!(outcome.code, 137, "killed: {}", outcome.output);
            assert_eq!(sandbox.sh("echo alive").await, "alive");
        }
        assert_eq!(sandbox.info().await["state"], "started");
        sandbox.delete().await;
    }
}

#[tokio::test]
async fn a_memory_hog_is_what_dies() {
    let server = Server::start().await;
    let config = json!({ "memory": 1 });
    let (hog, other) = (server.create(&config).await, server.create(&config).await);
    hog.sh("sleep 600 >/dev/null 2>&1 &").await;
    other.sh("sleep 600 >/dev/null 2>&1 &").await;
    let outcome = hog.run("head -c 3G /dev/zero | tail").await;
    assert_ne!(outcome.code, 0, "it cannot have had three times its limit");
    for sandbox in [&hog, &other] {
        assert_ne!(sandbox.sh("pgrep -x sleep").await, "", "bystanders live on");
        assert_eq!(sandbox.info().await["state"], "started");
    }
    hog.delete().await;
    other.delete().await;
}

#[tokio::test]
async fn a_disk_filler_fills_its_own_disk() {
    let server = Server::start().await;
    let config = json!({ "disk": 1 });
    let (filler, other) = (server.create(&config).await, server.create(&config).await);
    let outcome = filler.run("cat /dev/zero > /tmp/big").await;
    assert_ne!(outcome.code, 0);
    assert!(outcome.output.contains("No space left"), "{}", outcome.output);
    let written: u64 = filler.sh("stat -c %s /tmp/big").await.parse().expect("a size");
    assert!(written < 1 << 30, "no more than its disk: {written}");
    let refused = filler.upload("/tmp/more", &vec![7; 1 << 20]).await;
    refused.toolbox_error(507);
    assert_eq!(filler.sh("ls -A /tmp").await, "big", "a refused upload leaves nothing");
    assert_eq!(other.sh("echo fine > /tmp/small; cat /tmp/small").await, "fine");
    filler.sh("rm /tmp/big").await;
    drop(filler.upload("/tmp/more", b"again").await.expect(200));
    filler.delete().await;
    other.delete().await;
}

#[tokio::test]
async fn an_endless_output_hurts_only_its_own_command() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "disk": 1 })).await;
    let request = json!({ "command": "yes", "timeout": 60 });
    let answer = sandbox.execute(&request).await;
    assert!([408, 413, 507].contains(&answer.status), "{} {:.200}", answer.status, answer.text());
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    assert_eq!(sandbox.run("pgrep -x yes").await.output, "");
    sandbox.delete().await;
}

#[tokio::test]
async fn a_setuid_root_file_is_reachable_by_no_host_user() {
    let server = Server::start().await;
    let sandbox = as_user(&server, "root").await;
    sandbox.sh("cp /usr/bin/id /home/daytona/rootid 2>/dev/null || cp /usr/bin/id /tmp/rootid").await;
    let inside = sandbox
        .sh("f=$(ls /home/daytona/rootid /tmp/rootid 2>/dev/null | head -1); chmod 4755 $f; echo $f")
        .await;
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the host's mounts");
    assert!(!mounts.contains(&*server.data().to_string_lossy()), "no mount of ours in the host's table");
    let data = fs::metadata(server.data()).expect("the data directory");
    assert_eq!((data.uid(), data.mode() & 0o777), (0, 0o700));
    for disk in fs::read_dir(server.data().join("disks")).expect("the disks").flatten() {
        let disk = disk.metadata().expect("a disk");
        assert_eq!((disk.uid(), disk.mode() & 0o077), (0, 0), "a disk is for root only");
    }
    let inside_root = server.sandbox_processes();
    assert!(!inside_root.is_empty());
    for pid in inside_root {
        let way_in = format!("/proc/{pid}/root{inside}");
        let ids = fs::metadata(&way_in).map(|file| file.uid());
        assert_ne!(ids.unwrap_or(u32::MAX), 0, "no file of a sandbox belongs to the host's root");
        // `setpriv` itself still has rights when it looks for the program; the shell behind it has none.
        let nobody = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", &way_in])
            .stderr(Stdio::null())
            .status();
        assert!(!nobody.expect("setpriv starts").success(), "a user of the host got in through {way_in}");
    }
    sandbox.delete().await;
}

#[tokio::test]
async fn the_end_of_the_first_process_is_told_to_whoever_asks_something_of_the_sandbox() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    sandbox.sh("echo kept > note").await;
    let first = server.sandbox_processes().into_iter().min().expect("a first process");
    assert!(
        Command::new("kill").args(["-KILL", &first.to_string()]).status().expect("kill starts").success()
    );
    assert!(wait_until(|| server.sandbox_processes().is_empty()));
    let answer = sandbox.execute(&json!({ "command": "true" })).await;
    assert!(answer.status >= 400, "nothing can have run: {}", answer.text());
    let body = sandbox.info().await;
    assert_eq!(body["state"], "stopped", "{body}");
    assert!(body["errorReason"].as_str().is_some_and(|reason| !reason.is_empty()), "it says why: {body}");
    sandbox.start().await;
    assert_eq!(sandbox.sh("cat note").await, "kept");
    sandbox.delete().await;
    assert_eq!(server.list().await, Vec::<Value>::new());
}
