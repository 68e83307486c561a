//! A command whose output is sent while it runs: `POST /v1/execute/stream`, a route of ours that Daytona's API does not
//! have.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// Where the toolbox serves it.
pub const STREAM_PATH: &str = "/v1/execute/stream";

/// One command to run while its client listens. Exactly one of `command` and `argv` is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRequest {
    /// Text for the shell, of any length and any number of lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A program and its arguments, which no shell reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// Where to run it; relative to the work directory, which is also the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables added to the sandbox's own environment. Keys match `^[A-Za-z_][A-Za-z0-9_]*$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envs: Option<BTreeMap<String, String>>,
    /// Seconds until the command is killed; absent or 0 means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Text for the shell; not blank.
    Script(String),
    /// A program, with a name, and its arguments.
    Argv(Vec<String>),
}

/// Why a command cannot be tried, in words that say what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidProgram(pub &'static str);

impl Program {
    /// Reads the two fields of a request, of which exactly one must be there.
    pub fn parse(command: Option<String>, argv: Option<Vec<String>>) -> Result<Self, InvalidProgram> {
        match (command, argv) {
            (Some(command), None) => script(command),
            (None, Some(argv)) => program(argv),
            (Some(_), Some(_)) => Err(InvalidProgram("command and argv exclude each other: give one")),
            (None, None) => Err(InvalidProgram("there is nothing to run: give command or argv")),
        }
    }
}

fn script(command: String) -> Result<Program, InvalidProgram> {
    if command.trim().is_empty() {
        return Err(InvalidProgram("command is empty"));
    }
    if command.contains('\0') {
        // A shell would drop it without a word, and run something else.
        return Err(InvalidProgram("command contains a NUL byte"));
    }
    Ok(Program::Script(command))
}

fn program(argv: Vec<String>) -> Result<Program, InvalidProgram> {
    let name = argv.first().map_or("", String::as_str);
    if name.is_empty() {
        return Err(InvalidProgram("argv names no program: its first element is empty or missing"));
    }
    if name.starts_with('-') {
        // Shells do not agree on whether it would be an option of `exec`.
        return Err(InvalidProgram("the program's name in argv begins with a dash: give its path"));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err(InvalidProgram("argv contains a NUL byte, which no argument can carry"));
    }
    Ok(Program::Argv(argv))
}

/// One line of the answer, which is `application/x-ndjson`. `Exit` or `Error` is the last one; an answer without either
/// broke off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamEvent {
    /// Text that the command wrote to its standard output. No character is cut in two.
    Stdout(String),
    /// As [`Self::Stdout`], of its standard error.
    Stderr(String),
    /// A piece of standard output that is not all UTF-8: its bytes in base64.
    StdoutBase64(String),
    /// As [`Self::StdoutBase64`], of standard error.
    StderrBase64(String),
    /// How the command ended.
    Exit(Exit),
    /// Why nobody will know how it ended. It was killed.
    Error(StreamError),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal: its name without `SIG`, see [`super::signal_name`].
    Signal(String),
    /// It was killed since its time was over; always true.
    Timeout(bool),
}

/// What went wrong after the answer had begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamError {
    /// For machines.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Which of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl StreamEvent {
    /// The line for what a command wrote: as text where it is text, and otherwise so that no byte is lost.
    pub fn output(source: Source, bytes: Vec<u8>) -> Self {
        match (source, String::from_utf8(bytes)) {
            (Source::Stdout, Ok(text)) => Self::Stdout(text),
            (Source::Stderr, Ok(text)) => Self::Stderr(text),
            (Source::Stdout, Err(error)) => Self::StdoutBase64(STANDARD.encode(error.as_bytes())),
            (Source::Stderr, Err(error)) => Self::StderrBase64(STANDARD.encode(error.as_bytes())),
        }
    }

    /// The bytes that [`Self::output`] was made of; `None` if this is no output, or not base64 where it should be.
    pub fn into_output(self) -> Option<(Source, Vec<u8>)> {
        match self {
            Self::Stdout(text) => Some((Source::Stdout, text.into_bytes())),
            Self::Stderr(text) => Some((Source::Stderr, text.into_bytes())),
            Self::StdoutBase64(text) => Some((Source::Stdout, STANDARD.decode(text).ok()?)),
            Self::StderrBase64(text) => Some((Source::Stderr, STANDARD.decode(text).ok()?)),
            Self::Exit(_) | Self::Error(_) => None,
        }
    }

    /// The line, with its end.
    ///
    /// # Panics
    /// Never: these shapes are always JSON.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("texts and numbers are JSON");
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &StreamEvent) -> String {
        String::from_utf8(event.to_line()).expect("JSON is text")
    }

    #[test]
    fn lines_look_as_documented() {
        assert_eq!(line(&StreamEvent::output(Source::Stdout, b"a\n".to_vec())), "{\"stdout\":\"a\\n\"}\n");
        assert_eq!(line(&StreamEvent::output(Source::Stderr, vec![0xff])), "{\"stderrBase64\":\"/w==\"}\n");
        assert_eq!(line(&StreamEvent::Exit(Exit::Code(3))), "{\"exit\":{\"code\":3}}\n");
        assert_eq!(
            line(&StreamEvent::Exit(Exit::Signal("KILL".into()))),
            "{\"exit\":{\"signal\":\"KILL\"}}\n"
        );
        assert_eq!(line(&StreamEvent::Exit(Exit::Timeout(true))), "{\"exit\":{\"timeout\":true}}\n");
    }

    #[test]
    fn output_comes_back_byte_for_byte() {
        for bytes in [b"text".to_vec(), vec![0, 0xff, 0xe2, 0x82], "€".into()] {
            for source in [Source::Stdout, Source::Stderr] {
                let event = StreamEvent::output(source, bytes.clone());
                let read: StreamEvent = serde_json::from_slice(&event.to_line()).expect("its own line");
                assert_eq!(read.into_output(), Some((source, bytes.clone())));
            }
        }
    }

    #[test]
    fn exactly_one_program_is_wanted() {
        let argv = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let script = || Some("true".to_owned());
        assert_eq!(Program::parse(script(), None), Ok(Program::Script("true".to_owned())));
        assert!(Program::parse(None, argv(&["printf", "", "-x"])).is_ok());
        for (command, argv) in [
            (None, None),
            (script(), argv(&["true"])),
            (Some(" \n".to_owned()), None),
            (Some("a\0b".to_owned()), None),
            (None, argv(&[])),
            (None, argv(&[""])),
            (None, argv(&["-x"])),
            (None, argv(&["a", "b\0"])),
        ] {
            assert!(Program::parse(command.clone(), argv.clone()).is_err(), "{command:?} {argv:?}");
        }
    }
}
