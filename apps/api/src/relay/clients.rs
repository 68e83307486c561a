//! One client for each toolbox in use, so that its connections are used again.

use sandgate_core::ToolboxAddress;
use sandgate_toolbox_api::ToolboxClient;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// More clients than this are not kept. Making one again costs a connection.
const MAX_CLIENTS: usize = 4096;

/// Clients by address.
#[derive(Clone, Default)]
pub(super) struct Clients(Arc<Mutex<HashMap<ToolboxAddress, ToolboxClient>>>);

impl Clients {
    /// The client for `address`. A sandbox's address is its own for ever, so that a client never leads to another.
    pub(super) fn get(&self, address: ToolboxAddress) -> ToolboxClient {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&address) {
            // Idle connections close by themselves; those in use are held by their requests.
            clients.clear();
        }
        let ToolboxAddress::Unix(path) = &address;
        let path = path.clone();
        clients.entry(address).or_insert_with(|| ToolboxClient::unix(path)).clone()
    }
}
