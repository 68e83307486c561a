//! The names of signals: the same numbers on every processor that sandboxes run on.

/// By number, from 1 on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// What a signal is called, without `SIG`; one without a name, such as those for real time, is called by its number.
pub fn signal_name(number: i32) -> String {
    let named = usize::try_from(number).ok().and_then(|number| NAMES.get(number.checked_sub(1)?));
    named.map_or_else(|| number.to_string(), ToString::to_string)
}

/// The number behind a name that [`signal_name`] gave.
pub fn signal_number(name: &str) -> Option<i32> {
    let named = (1..).zip(NAMES).find(|(_, known)| *known == name);
    named.map(|(number, _)| number).or_else(|| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_to_each_other() {
        for number in 1..=64 {
            assert_eq!(signal_number(&signal_name(number)), Some(number));
        }
        assert_eq!(
            (signal_name(9), signal_name(15), signal_name(31)),
            ("KILL".into(), "TERM".into(), "SYS".into())
        );
        assert_eq!((signal_name(34), signal_name(0)), ("34".into(), "0".into()));
        assert_eq!(signal_number("NONSENSE"), None);
    }
}
