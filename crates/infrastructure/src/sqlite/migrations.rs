//! The formats of the ledger, oldest first.

use super::events::chain_old;
use rusqlite_migration::{M, Migrations};
use std::sync::LazyLock;

/// Format 2, one file for each thing that it adds.
const FORMAT_2: &str = concat!(
    include_str!("format_2/events.sql"),
    include_str!("format_2/quotas.sql"),
    include_str!("format_2/reconciler.sql"),
);

/// Leads from any released format to the latest.
pub(super) static MIGRATIONS: LazyLock<Migrations<'static>> = LazyLock::new(|| {
    Migrations::new(vec![M::up(include_str!("schema.sql")), M::up_with_hook(FORMAT_2, chain_old)])
});

/// The latest format, as `user_version` has it.
pub(super) const SUPPORTED: i64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn every_step_can_be_taken_and_leads_to_the_latest_format() {
        let mut connection = Connection::open_in_memory().expect("a database");
        MIGRATIONS.to_latest(&mut connection).expect("valid migrations");
        let reached: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("user_version");
        assert_eq!(reached, SUPPORTED);
    }
}
