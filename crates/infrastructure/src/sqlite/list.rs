//! Pages of sandboxes: which of them, in which order, and where the next page begins.

use super::cursor::Cursor;
use super::rows;
use super::words::Word;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use sandgate_core::{ListQuery, Order, OrganizationId, RepositoryError, SandboxId, SortKey, Stance};

/// A page as the database gives it.
pub(super) struct Ids {
    /// The sandboxes, in their order.
    pub(super) ids: Vec<SandboxId>,
    /// Where the next page begins; `None` at the end.
    pub(super) next: Option<String>,
}

/// A question to the database.
pub(super) struct Selection {
    sort: SortKey,
    order: Order,
    limit: u32,
    sql: String,
    values: Vec<Value>,
}

impl Selection {
    /// Understands `query`; refuses a cursor from elsewhere.
    pub(super) fn new(organization: OrganizationId, query: &ListQuery) -> Result<Self, RepositoryError> {
        let mut selection = Self::of(organization, query);
        selection.prefix("id", query.id_prefix.as_deref().map(str::to_lowercase));
        selection.prefix("name", query.name_prefix.clone());
        selection.states(query);
        selection.labels(organization, query);
        if let Some(cursor) = &query.cursor {
            let cursor = Cursor::read(cursor, query.sort, query.order).ok_or(RepositoryError::BadCursor)?;
            selection.after(cursor);
        }
        selection.finish();
        Ok(selection)
    }

    fn of(organization: OrganizationId, query: &ListQuery) -> Self {
        let column = column(query.sort);
        let sql = format!(
            "SELECT {column}, id FROM sandbox WHERE organization_id = ? AND deleted_at IS NULL
             AND NOT (desired = 'deleted' AND observed = 'failed' AND operation_parked IS NOT 1)"
        );
        Self {
            sort: query.sort,
            order: query.order,
            limit: query.limit,
            sql,
            values: vec![organization.to_string().into()],
        }
    }

    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    fn prefix(&mut self, column: &str, prefix: Option<String>) {
        let Some(prefix) = prefix else { return };
        if let Some(end) = successor(&prefix) {
            self.and(&format!("{column} < ?"), [end.into()]);
        }
        self.and(&format!("{column} >= ?"), [prefix.into()]);
    }

    fn states(&mut self, query: &ListQuery) {
        if query.states.is_empty() {
            return;
        }
        let stances = vec!["(?, ?, ?)"; query.states.len()].join(", ");
        let values = query.states.iter().flat_map(|&Stance { desired, observed, parked }| {
            [desired.word().to_owned().into(), observed.word().to_owned().into(), parked.into()]
        });
        self.and(&format!("(desired, observed, operation_parked IS 1) IN (VALUES {stances})"), values);
    }

    fn labels(&mut self, organization: OrganizationId, query: &ListQuery) {
        for (key, value) in &query.labels {
            let values = [organization.to_string(), key.clone(), value.clone()];
            self.and(
                "id IN (SELECT sandbox_id FROM label WHERE organization_id = ? AND key = ? AND value = ?)",
                values.map(Value::from),
            );
        }
    }

    fn after(&mut self, cursor: Cursor) {
        let (column, sign) = (column(self.sort), if self.order == Order::Ascending { '>' } else { '<' });
        self.and(
            &format!("({column}, id) {sign} (?, ?)"),
            [cursor.value.into(), cursor.id.to_string().into()],
        );
    }

    /// One row more than wanted tells whether there is another page.
    fn finish(&mut self) {
        let (column, way) = (column(self.sort), if self.order == Order::Ascending { "ASC" } else { "DESC" });
        self.sql = format!("{} ORDER BY {column} {way}, id {way} LIMIT ?", self.sql);
        self.values.push((i64::from(self.limit) + 1).into());
    }

    /// Asks the database.
    pub(super) fn run(self, connection: &Connection) -> rusqlite::Result<Ids> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(&self.values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Cursor { value: row.get(0)?, id: rows::text(row, "id", str::parse)? });
        }
        let more = found.len() > self.limit as usize;
        found.truncate(self.limit as usize);
        let next = found.last().filter(|_| more).map(|last| last.write(self.sort, self.order));
        Ok(Ids { ids: found.into_iter().map(|row| row.id).collect(), next })
    }
}

/// The first text after all that begin with `prefix`; `None` where there is no such text.
fn successor(prefix: &str) -> Option<String> {
    let mut start = prefix.trim_end_matches(char::MAX).to_owned();
    let last = start.pop()?;
    start.push(('\0'..=char::MAX).find(|c| *c > last)?);
    Some(start)
}

/// The column of a sort.
const fn column(sort: SortKey) -> &'static str {
    match sort {
        SortKey::Name => "name",
        SortKey::Cpu => "cpu",
        SortKey::Memory => "memory_gib",
        SortKey::Disk => "disk_gib",
        SortKey::LastActivityAt => "last_activity_at",
        SortKey::CreatedAt => "created_at",
    }
}

#[cfg(test)]
mod tests {
    use super::successor;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_prefix_is_the_range_up_to_its_successor(prefix in "[a-c\u{10ffff}]{0,3}", text in "[a-d\u{10ffff}]{0,5}") {
            let in_range = text >= prefix && successor(&prefix).is_none_or(|end| text < end);
            prop_assert_eq!(in_range, text.starts_with(&prefix));
        }
    }
}
