//! Times as the API writes them, always UTC.

use std::time::SystemTime;

use jiff::{Timestamp, Unit, fmt::strtime};

/// Now, in RFC 3339 with milliseconds.
pub(crate) fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}

/// RFC 3339 with whole seconds, which every client can parse.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    format("%Y-%m-%dT%H:%M:%SZ", time)
}

/// The layout in which Go prints a time.
pub(crate) fn go_layout(time: SystemTime) -> String {
    format("%Y-%m-%d %H:%M:%S%.f +0000 UTC", time)
}

/// A time outside the years 1 to 9999, which a hostile file may well have, is shown as the epoch.
fn format(layout: &str, time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    strtime::format(layout, time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn both_layouts_of_one_time() {
        let time = UNIX_EPOCH + Duration::from_millis(1_767_323_045_678);
        assert_eq!(rfc3339(time), "2026-01-02T03:04:05Z");
        assert_eq!(go_layout(time), "2026-01-02 03:04:05.678 +0000 UTC");
    }

    #[test]
    fn whole_seconds_have_no_fraction_and_absurd_times_do_not_panic() {
        assert_eq!(go_layout(UNIX_EPOCH), "1970-01-01 00:00:00 +0000 UTC");
        if let Some(far) = UNIX_EPOCH.checked_add(Duration::from_secs(u64::MAX / 4)) {
            assert_eq!(rfc3339(far), "1970-01-01T00:00:00Z");
        }
    }
}
