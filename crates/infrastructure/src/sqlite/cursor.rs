//! Where a page ended, as a text that clients hand back and do not look into.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Value, ValueRef};
use sandgate_core::{Order, SandboxId, SortKey};
use serde::{Deserialize, Serialize};

/// The last row of a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cursor {
    /// What it was sorted by.
    pub(super) value: SortValue,
    /// Which it was.
    pub(super) id: SandboxId,
}

/// A value that a list is sorted by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum SortValue {
    /// A number, or a time.
    Number(i64),
    /// A name.
    Text(String),
}

impl From<SortValue> for Value {
    fn from(value: SortValue) -> Self {
        match value {
            SortValue::Number(number) => number.into(),
            SortValue::Text(text) => text.into(),
        }
    }
}

impl FromSql for SortValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Integer(number) => Ok(Self::Number(number)),
            ValueRef::Text(text) => Ok(Self::Text(String::from_utf8_lossy(text).into_owned())),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// What is inside the text: the list it belongs to, and the row.
type Parts = (String, SortValue, String);

impl Cursor {
    /// The cursor as a text that only fits the same list.
    pub(super) fn write(&self, sort: SortKey, order: Order) -> String {
        let parts: Parts = (list(sort, order), self.value.clone(), self.id.to_string());
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&parts).expect("texts and numbers are JSON"))
    }

    /// Reads a text that [`Cursor::write`] gave for the same list.
    pub(super) fn read(text: &str, sort: SortKey, order: Order) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (list_of, value, id): Parts = serde_json::from_slice(&json).ok()?;
        let fits = list_of == list(sort, order)
            && matches!(value, SortValue::Text(_)) == matches!(sort, SortKey::Name);
        fits.then_some(Self { value, id: id.parse().ok()? })
    }
}

fn list(sort: SortKey, order: Order) -> String {
    format!("{sort:?} {order:?}")
}
