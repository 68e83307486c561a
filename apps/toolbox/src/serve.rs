//! The accept loop: one task for each connection, with every time and size bounded.

use std::{io, os::unix::net::UnixListener as StdListener, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};

use crate::{Toolbox, router};

/// How long a connection may idle between two requests. Clients pool connections and expect 75 s at least.
const IDLE: Duration = Duration::from_secs(90);
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
const MAX_CONNECTIONS: usize = 1024;
/// Pause after a failed accept, which can only mean that descriptors have run out for the moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until a signal ends it. Pid 1 takes none: the kernel keeps every signal without a handler from it, so that
/// nothing inside the sandbox can end the toolbox.
pub(crate) async fn run(listener: StdListener, toolbox: Arc<Toolbox>, is_init: bool) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    tokio::spawn(Arc::clone(&toolbox.reaper).run(signal(SignalKind::child())?));
    // The first of the threads for files, while one can be had for certain.
    tokio::task::spawn_blocking(|| ());
    if is_init {
        accept(listener, toolbox).await;
        return Ok(());
    }
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        () = accept(listener, Arc::clone(&toolbox)) => {}
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    toolbox.reaper.kill_all();
    Ok(())
}

async fn accept(listener: UnixListener, toolbox: Arc<Toolbox>) {
    let service = TowerToHyperService::new(router::build(toolbox));
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = http().serve_connection(TokioIo::<UnixStream>::new(stream), service.clone());
                tokio::spawn(async move {
                    // A client that hangs up is no event worth a line.
                    let _ = connection.await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    // hyper also counts the wait for the next request of a kept-alive connection as reading its head.
    http.timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    http
}
