//! What a server still lists when a test is over: a row may outlive everything that it stood for.

use serde_json::Value;

use crate::raw;

/// The sandboxes that are listed, in words. Blocks, since whoever drops a server may be anywhere: it asks on a thread
/// with a runtime of its own.
pub(crate) fn listed(url: &str, key: &str) -> Vec<String> {
    let answer = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(raw::get(url, "/api/sandbox", key))
        });
        asked.join().expect("the server answers")
    });
    words(&answer)
}

fn words((status, answer): &(u16, String)) -> Vec<String> {
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let page: Value = serde_json::from_str(body).unwrap_or_default();
    match page["items"].as_array() {
        Some(items) => {
            items.iter().map(|row| format!("row {} in state {}", row["id"], row["state"])).collect()
        }
        None => vec![format!("no list, but {status}: {body}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_lists_that_are_none_are_told() {
        let answer = |body: &str| words(&(200, format!("HTTP/1.1 200 OK\r\n\r\n{body}")));
        assert_eq!(answer(r#"{"items":[],"nextCursor":null}"#), Vec::<String>::new());
        assert_eq!(answer(r#"{"items":[{"id":"i","state":"error"}]}"#), [r#"row "i" in state "error""#]);
        assert_eq!(answer("broken").len(), 1);
    }
}
