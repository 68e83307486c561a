//! The formats of the ledger, oldest first.

use rusqlite_migration::{M, Migrations};

const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema.sql")),
    // Format 2: one file for each idea.
    M::up(concat!(include_str!("format_2/reconciler.sql"), include_str!("format_2/quotas.sql"))),
];

/// Leads from any released format to the latest.
pub(super) const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// The latest format, as `user_version` has it.
pub(super) const SUPPORTED: i64 = STEPS.len().cast_signed() as i64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_taken() {
        MIGRATIONS.validate().expect("valid migrations");
    }
}
